"""Raw shop logs in, clean tables out: events, items, users and promotions, each left-out row with its reasons."""
