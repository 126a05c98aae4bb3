"""What reports hold: a class for the rows of each report, whose fields declare their columns, and tables of them."""
