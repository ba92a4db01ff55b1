"""temporary"""


def definitions(*, kubernetes_native=False):
    return []
