"""The REST interface of the picker. Each handler asks a helper, and passes its answer on."""

from __future__ import annotations

import asyncio
from http.client import responses
from typing import TYPE_CHECKING, Any

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from spack_kernel import __version__
from spack_kernel.jupyter.errors import PickerOffError
from spack_kernel.jupyter.helper import (
    AddKernel,
    Complete,
    ListEnvironments,
    ListKernels,
    Question,
    RemoveKernel,
    Search,
    ShowKernel,
    as_json,
    ask,
)
from spack_kernel.jupyter.provisioner import history
from spack_kernel.kernels.errors import RequestError
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.errors import SpackKernelError

from .new_kernel import NewKernel
from .openapi import description

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .options import SpackPicker

#: The status of an error; that of all others is 500.
_STATUS = {
    "query-syntax": 400,
    "job-refused": 400,
    "request": 400,
    "kernelspec": 400,
    "picker-off": 403,
    "no-match": 404,
    "no-such-kernel": 404,
    "store-not-found": 404,
    "environment-not-found": 404,
    "view-not-found": 404,
    "ambiguous": 409,
    "environment-not-ready": 409,
    "incomplete": 409,
    "config": 409,
    "unreadable": 409,
    "interpreter": 409,
    "kernel-package": 409,
    "prefix-gone": 409,
    "database": 503,
    "helper": 503,
    "store-slow": 504,
}

#: The most dependencies of a query: each multiplies what is looked at.
_MOST_DEPENDENCIES = 20

#: The largest body of a request, in bytes.
_LARGEST_BODY = 100_000

#: The longest text that is searched for or completed, in characters.
_LONGEST = 10_000


class _Handler(APIHandler):
    """What all handlers share: errors as the commands print them, and questions to helpers."""

    auth_resource = "spack_kernel"

    def initialize(self, picker: SpackPicker) -> None:
        """Take the options of the picker."""
        super().initialize()
        self._picker = picker
        self._pending: Future[Any] | None = None

    def on_connection_close(self) -> None:
        """Stop waiting for the answer to a request that nobody waits for."""
        if self._pending is not None:
            self._pending.cancel()
        super().on_connection_close()

    def refuse_if_off(self) -> None:
        """Raise an error if the picker cannot be used in this server."""
        why_not = self._picker.why_not()
        if why_not:
            raise PickerOffError(why_not, hint="Choose one of the kernels that are listed.")

    def text(self, name: str) -> str:
        """Return an argument of the request, with its blanks; empty if it is not given."""
        value: str = self.get_query_argument(name, "", strip=False)
        if len(value) > _LONGEST:
            raise RequestError(f"`{name}` is longer than {_LONGEST} characters")
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """Return an argument of the request that is a number from 0 to `most`."""
        value = self.get_query_argument(name, None)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and len(value) < 10) or int(value) > most:
            raise RequestError(f"`{name}` is not a number from 0 to {most}: {value!r}")
        return int(value)

    def stores(self, number: int | None = None) -> tuple[str, ...]:
        """Return the paths of the store that the request names."""
        lists = self._picker.store_lists()
        if number is None:
            number = self.number("store", 0, len(lists) - 1)
        if not 0 <= number < len(lists):
            raise RequestError(f"there is no store {number}: `store` is at most {len(lists) - 1}")
        return lists[number]

    async def answer(self, stores: tuple[str, ...], question: Question, status: int = 200) -> None:
        """Reply with what a helper answers to a question."""
        self._pending = ask(stores, question, self._picker.timeout)
        try:
            _, data = await asyncio.wrap_future(self._pending)
        except asyncio.CancelledError:
            if self._pending.cancelled():
                return  # nobody waits any more
            raise
        self.set_status(status)
        self.reply(data)

    def reply(self, content: Any) -> None:
        """Reply with JSON: bytes as they are, and everything else converted."""
        self.set_header("Cache-Control", "no-store")
        data = content if isinstance(content, bytes) else as_json(content)
        self.finish(data)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Reply with an error as JSON: ``error`` as the commands print it, and ``message``."""
        error = kwargs.get("exc_info", (None, None))[1]
        if not isinstance(error, SpackKernelError):
            reason = getattr(error, "log_message", None) or responses.get(status_code)
            error = SpackKernelError(str(reason or "the request failed"))
            error.code = "http"
        else:
            self.set_status(_STATUS.get(error.code, 500))
        self.set_header("Content-Type", "application/json")
        self.finish(as_json({"message": str(error), "error": error.as_dict()}))

    def log_exception(self, *exc_info: Any) -> None:
        """Log a defect; an error that the user gets to see is not one."""
        if not isinstance(exc_info[1], SpackKernelError):
            super().log_exception(*exc_info)


class SearchHandler(_Handler):
    """Search a store."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with one page of results."""
        self.refuse_if_off()
        stores, text = self.stores(), self.text("text")
        if sum(text.count(sigil) for sigil in "^%") > _MOST_DEPENDENCIES:
            raise RequestError(
                f"the query names more than {_MOST_DEPENDENCIES} dependencies",
                hint="Name fewer; a hash needs none: /abc1234.",
            )
        question = Search(
            stores=list(stores),
            text=text,
            cursor=str(self.number("cursor", 0, 10**9 - 1)) if self.text("cursor") else "",
            limit=self.number("limit", 50, 200),
            favourites=list(self._picker.favourites),
            explain=bool(self.number("explain", 1, 1)),
        )
        await self.answer(stores, question)


class CompleteHandler(_Handler):
    """Complete a query."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with what can follow."""
        self.refuse_if_off()
        stores, text = self.stores(), self.text("text")
        position = self.number("position", len(text), _LONGEST)
        await self.answer(stores, Complete(stores=list(stores), text=text, position=position))


class PlanHandler(_Handler):
    """Plan a kernel, without starting it."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with the preview."""
        self.refuse_if_off()
        stores = self.stores()
        queries = self.get_query_arguments("query")
        kernel = self.text("kernel")
        if kernel:
            request = KernelRequest()
        else:
            request = _request(stores, queries, self.text("environment"), self.text("view"))
        question = ShowKernel(request=request, kernel=kernel, place=self._picker.place())
        await self.answer(stores, question)


class EnvironmentsHandler(_Handler):
    """List the Spack environments of a store."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with a list; an install tree has none."""
        self.refuse_if_off()
        stores = self.stores()
        await self.answer(stores, ListEnvironments(stores=list(stores)))


class KernelsHandler(_Handler):
    """The kernels that the user has chosen."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with the kept kernels, then the recent ones."""
        self.refuse_if_off()
        await self.answer(self.stores(0), ListKernels(place=self._picker.place()))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Write the kernelspec of a chosen kernel, and reply with it."""
        self.refuse_if_off()
        if len(self.request.body) > _LARGEST_BODY:
            raise RequestError(f"the request is larger than {_LARGEST_BODY:,} bytes")
        try:
            chosen = msgspec.json.decode(self.request.body or b"{}", type=NewKernel)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RequestError(f"the body of the request is not valid: {error}") from error
        stores = self.stores(chosen.store)
        if chosen.from_notebook:
            if chosen.queries or chosen.environment or chosen.view:
                raise RequestError("`from_notebook` excludes `queries`, `environment` and `view`")
            request = KernelRequest(stores=stores, from_notebook=True)
        elif chosen.kernel:
            request = KernelRequest()
        else:
            request = _request(stores, chosen.queries, chosen.environment, chosen.view)
        question = AddKernel(
            request=request,
            place=self._picker.place(),
            kept=chosen.keep,
            name=chosen.name,
            display_name=chosen.display_name,
            replace=chosen.replace,
            kernel=chosen.kernel,
            job=self._picker.job(chosen.slurm),
        )
        await self.answer(stores, question, 201)


class KernelHandler(_Handler):
    """One kernel that the user has chosen."""

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """Remove it, and reply with what it was."""
        self.refuse_if_off()
        question = RemoveKernel(place=self._picker.place(), name=name)
        await self.answer(self.stores(0), question)


class DeathsHandler(_Handler):
    """The kernels that ended although nobody asked for it, or could not be started."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with a list, the last first."""
        after = self.number("after", 0, 10**9 - 1)
        self.reply(history.ends(self.text("kernel_id"), after))


class StartsHandler(_Handler):
    """The starts in progress."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with a list, the longest first."""
        self.reply(history.starts())


class HealthHandler(_Handler):
    """Whether the picker works, and with which stores."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with the version, the stores, and why the picker cannot be used."""
        why_not = self._picker.why_not()
        lists = self._picker.store_lists()
        more = {"slurm": self._picker.job_form()}
        names = ["" if not paths else " > ".join(paths) for paths in lists]
        self.reply({"version": __version__, "stores": names, "why_not": why_not, **more})


class DescriptionHandler(_Handler):
    """The description of this interface."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Reply with an OpenAPI document."""
        self.reply(description())


def _request(
    stores: tuple[str, ...], queries: list[str], environment: str, view: str
) -> KernelRequest:
    """Return the request for what a user has chosen."""
    if any(len(text) > _LONGEST for text in (*queries, environment, view)):
        raise RequestError(f"a text is longer than {_LONGEST} characters")
    if not (queries or environment or view):
        raise RequestError("nothing to load", hint="Give `queries`, or `environment`, or `view`.")
    if environment.startswith("."):
        raise RequestError(
            "give the path of the environment's directory from the root, or its name"
        )
    if view and not environment and not view.startswith("/"):
        raise RequestError("give the path of the view from the root")
    if len(queries) != 1:
        return KernelRequest(
            stores=stores, specs=tuple(queries), environment=environment, view=view
        )
    (query,) = queries
    name, _, dag_hash = query.rpartition("/")
    if not name and dag_hash.isalnum():
        return KernelRequest(stores=stores, hash=dag_hash, environment=environment, view=view)
    return KernelRequest(stores=stores, spec=query, environment=environment, view=view)


#: The paths below ``/spack-kernel``, and what answers them.
ROUTES: tuple[tuple[str, type[_Handler]], ...] = (
    ("search", SearchHandler),
    ("complete", CompleteHandler),
    ("plan", PlanHandler),
    ("environments", EnvironmentsHandler),
    ("kernels", KernelsHandler),
    (r"kernels/(?P<name>[^/]+)", KernelHandler),
    ("deaths", DeathsHandler),
    ("starts", StartsHandler),
    ("health", HealthHandler),
    ("openapi.json", DescriptionHandler),
)
