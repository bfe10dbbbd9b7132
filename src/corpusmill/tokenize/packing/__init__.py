"""Which tokens go into which row: mixture, plan, places."""
