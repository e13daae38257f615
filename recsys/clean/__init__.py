"""Raw shop logs in, clean tables out: events, items, users, promotions, offers, each left-out row with its reasons."""
