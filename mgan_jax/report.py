"""report.html"""


def write(store, rows):
    pass
