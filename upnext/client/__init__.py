"""The service's HTTP contract, typed, for Python: `Client` blocks, `AsyncClient` awaits.

    from upnext.client import Client, calls

    with Client("http://127.0.0.1:8000", token) as client:
        page = client.send(calls.recommendations("user-007", limit=5))
        client.send(calls.watch("user-007", page.recommendations[0].content_id))

`calls` has one function for each route. What the service refuses is raised as one of `problems`.
"""

from upnext.client import calls, problems
from upnext.client.call import Call, Patience
from upnext.client.problems import Refused
from upnext.client.transports import AsyncClient, Client

__all__ = ["AsyncClient", "Call", "Client", "Patience", "Refused", "calls", "problems"]
