#!/usr/bin/python3 -IS
"""A CGI program: a process for each request. Starts as little of Python as it can (-I, -S)."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from events import NotAnEvent, store  # -I leaves the directory of the program out


def body():
    data = sys.stdin.buffer.read(int(os.environ["CONTENT_LENGTH"])).decode()
    if os.environ["CONTENT_TYPE"].startswith("application/x-www-form-urlencoded"):
        from urllib.parse import parse_qsl  # takes a while to load: only when needed
        return dict(parse_qsl(data, keep_blank_values=True))
    import json
    return json.loads(data)


def answer():
    try:
        return "200 OK", '{"stored":%d}' % store(body())
    except NotAnEvent as error:
        return "422 Unprocessable Entity", str(error)
    except ValueError as error:
        return "400 Bad Request", str(error)
    except OSError as error:
        return "500 Internal Server Error", str(error)


print("Status: %s\r\nContent-Type: application/json\r\n\r\n%s" % answer(), end="")
