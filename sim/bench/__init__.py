"""What runs beside a design under cocotb, in testbenches and devices: drivers, monitors, bus masters and slaves."""
