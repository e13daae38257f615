import signal

from recsys.training.workers import _own_signal_handlers


def test_horovod_cannot_take_an_interrupt_for_itself() -> None:
    """Its handler would set a flag that nobody reads: Ctrl-C did nothing while workers trained."""
    ours, set_handler = signal.getsignal(signal.SIGINT), signal.signal
    other = signal.getsignal(signal.SIGUSR1)
    with _own_signal_handlers():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is ours
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    signal.signal(signal.SIGUSR1, other)
    assert signal.signal is set_handler
