"""A headless Chromium driven over its DevTools protocol: keys are pressed as a person presses them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

_CODES = {"Enter": 13, "Backspace": 8, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One page; every wait ends by a condition, none by a guess."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def wait_until(self, condition: str) -> None:
        for _ in range(1500):
            if await self.evaluate(f"!!({condition})"):
                return
            await asyncio.sleep(0.02)
        text = await self.read_text()
        raise AssertionError(f"not so after 30 s: {condition}; the page says {text[:2000]!r}")

    async def open(self, address: str) -> None:
        await self.call("Page.navigate", url=address)
        await self.wait_until(f"location.href.startsWith({address!r}) && document.readyState === 'complete'")

    async def press(self, *keys: str) -> None:
        for key in keys:
            cells: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": _CODES.get(key, ord(key[0].upper()))}
            if key == "Enter" or len(key) == 1:
                cells["text"] = "\r" if key == "Enter" else key
            await self.call("Input.dispatchKeyEvent", type="keyDown", **cells)
            await self.call(
                "Input.dispatchKeyEvent", type="keyUp", **{name: cells[name] for name in cells if name != "text"}
            )

    async def read_text(self) -> str:
        return str(await self.evaluate("document.body.innerText"))

    async def resize(self, width: int, height: int = 900, *, is_dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        value = "dark" if is_dark else "light"
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    async def save_screenshot(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


def dump_page(address: str, folder: Path) -> str:
    """The document at `address` after its scripts ran; `folder` is for what the browser keeps."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    command = [CHROMIUM, *options, f"--user-data-dir={folder}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@asynccontextmanager
async def open_browser(folder: Path) -> AsyncIterator[Browser]:
    """A browser whose profile lies in `folder`; ends its own process."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        [CHROMIUM, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port_file = folder / "DevToolsActivePort"
        for _ in range(600):
            if port_file.is_file() and port_file.read_text().count("\n"):
                break
            await asyncio.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json") as answer:
                address = next(it["webSocketDebuggerUrl"] for it in await answer.json() if it["type"] == "page")
            async with client.ws_connect(address, max_msg_size=0) as socket:
                yield Browser(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)
