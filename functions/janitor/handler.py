"""Schedule → one sweep: holds of calls that died are settled in full and booked as unconfirmed."""

from tollkeeper import bootstrap

handler = bootstrap.janitor_handler()
