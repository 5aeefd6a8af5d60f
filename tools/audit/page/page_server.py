"""The server of all pages, on this machine: who may ask, and how errors are answered."""

import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from stages.common.errors import UserError, describe_error, explain_system_error

LOOPBACK = ("127.0.0.1", "localhost", "::1")

MAX_BODY_BYTES = 100_000
"""Bytes of a request that are read: human labels of one sample."""


def serve(make_routes: Callable[[], list[web.RouteDef]], host: str = LOOPBACK[0], port: int = 8765) -> None:
    """Serve until interrupted; a `host` other than loopback lets others read all data."""
    try:
        listener = socket.create_server((host, port))  # before tables are read, which takes time
    except OSError as error:
        raise UserError(f"{host}:{port}: {explain_system_error(error) or describe_error(error)}") from error
    web.run_app(make_app(make_routes(), (*LOOPBACK, host)), sock=listener)


def make_app(routes: list[web.RouteDef], hosts: tuple[str, ...]) -> web.Application:
    """A server of `routes`, which answers to the names `hosts` alone."""
    app = web.Application(middlewares=[_allow_hosts(hosts), _refuse_in_one_line], client_max_size=MAX_BODY_BYTES)
    app.add_routes(routes)
    return app


async def read_body(request: web.Request) -> str:
    """The JSON text of a request that writes.

    A page elsewhere cannot send this type without a preflight request, which is never allowed.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    return await request.text()


def _allow_hosts(hosts: tuple[str, ...]) -> Any:
    """Refuse requests by another name: a page elsewhere whose name leads to this machine must not read the data."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = (request.url.host or "").strip("[]")
        if name not in hosts:
            raise web.HTTPForbidden(text="this page is served to other names only")
        response = await handler(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return check_host


@web.middleware
async def _refuse_in_one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        raise web.HTTPBadRequest(text=describe_error(error)) from error
