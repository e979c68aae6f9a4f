"""Doormat of stage report: command line in, one call."""

from mixlab.stages import doorway, report

if __name__ == "__main__":
    doorway.main("report", report.run)
