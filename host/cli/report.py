"""The command that makes one page of all reports."""

from host.folders import report_folder

__all__ = ["report"]


def report() -> None:
    """Make one page of all reports, build/report/index.html: charts, tables, and how each number was obtained."""
    from host.report.report import write_page

    folder = report_folder("report")
    print(f"page: {write_page(folder.parent, folder)}")
