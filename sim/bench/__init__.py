"""What test benches share: drivers, monitors, bus masters and slaves, random data."""
