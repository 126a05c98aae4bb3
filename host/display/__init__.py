"""How progress is shown: what is measured, and how it is drawn on a terminal or printed where there is none."""
