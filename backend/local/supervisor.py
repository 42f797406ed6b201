"""``run.py serve``: the servers, the web and the worker of one state, watched until told to end."""
from backend.local.state import State
def serve(state: State, *, host: str, port: int, demo: bool) -> int:
    raise NotImplementedError
