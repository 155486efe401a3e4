"""The composition root: Settings → wired apps. The only module that knows which store, transport and features there are."""
