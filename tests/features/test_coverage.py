from datetime import date, timedelta

from recsys.features.coverage import cutoffs_that_saw, empty_spans, needed_spans, no_purchases

CUTOFFS = (date(2017, 11, 6), date(2017, 11, 20))


def test_needed_are_the_history_and_each_label_window() -> None:
    spans = needed_spans(CUTOFFS, label_days=14)
    assert [(span.start, span.end) for span in spans] == [
        (date(2016, 11, 6), date(2017, 11, 6)),
        (date(2017, 11, 6), date(2017, 11, 20)),
        (date(2017, 11, 20), date(2017, 12, 4)),
    ]


def test_a_span_holds_its_first_day_but_not_its_end() -> None:
    history, first, second = needed_spans(CUTOFFS, label_days=14)
    last_days = [span.end - timedelta(days=1) for span in (history, first, second)]
    assert empty_spans([history, first, second], last_days) == []
    assert empty_spans([history, first, second], [first.start]) == [history, second]
    assert empty_spans([first], [first.end]) == [first]


def test_the_refusal_names_the_empty_days_the_covered_days_and_the_cure() -> None:
    empty = needed_spans(CUTOFFS, label_days=14)[2:]
    assert str(no_purchases(empty, date(2017, 1, 1), date(2017, 11, 19))) == (
        "no purchase from 2017-11-20 to 2017-12-03 (labels of cut-off 2017-11-20); expected some, clean.events covers "
        "2017-01-01 to 2017-11-19. Cure: give a --run-date up to 2017-11-20, a smaller examples.label_days or "
        "examples.train_windows, or run clean_logs on the missing days"
    )
    assert "clean.events has no purchase. Cure: run clean_logs" in str(no_purchases(empty, None, None))


def test_a_cut_off_sees_the_365_days_before_it() -> None:
    day, year = date(2017, 11, 6), timedelta(days=365)
    others = [day + year + timedelta(days=1), day + year, day + timedelta(days=1), day, day - year]
    assert cutoffs_that_saw([day], others) == [day + timedelta(days=1), day + year]
    assert cutoffs_that_saw([], others) == []
