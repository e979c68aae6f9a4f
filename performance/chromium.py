"""A headless Chromium, spoken to over two pipes by its DevTools protocol: for tests and programs that look at pages.

https://chromedevtools.github.io/devtools-protocol/: messages are JSON, each ended by a NUL.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe", "--force-prefers-reduced-motion"),
)
SECONDS = 60.0
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    "PageDown": ("PageDown", 34, ""),
    "/": ("Slash", 191, "/"),
}
"""Code, number and text of the keys that are pressed."""


def find_chromium() -> str | None:
    """Find a Chromium on this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Page:
    """One page of a running browser; `errors` are all that its console and its policy complained of."""

    reading: int
    writing: int
    session: str = ""
    errors: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    _number: int = 0
    _rest: bytes = b""
    _replies: dict[int, dict[str, Any]] = field(default_factory=dict)
    _events: deque[dict[str, Any]] = field(default_factory=deque)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; raises RuntimeError with what the browser says is wrong."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while number not in self._replies:
            self._receive(deadline)
        reply = self._replies.pop(number)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result

    def _receive(self, deadline: float) -> None:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.reading], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser said nothing for {SECONDS:g} s")
            chunk = os.read(self.reading, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._rest += chunk
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        if "id" in message:
            self._replies[message["id"]] = message
        else:
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        name, told = event["method"], event.get("params", {})
        if name == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif name == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", "")) for one in told["args"]))
        elif name == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(told["entry"]["text"])
        elif name == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        elif name == "Page.loadEventFired":
            self._events.append(event)

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._events.clear()
        self.send("Page.navigate", url=url)
        deadline = time.monotonic() + SECONDS
        while not self._events:
            self._receive(deadline)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, of a promise what comes of it."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true, and return its value; an element is true, and comes as an empty object."""
        deadline = time.monotonic() + SECONDS
        while (value := self.evaluate(expression)) in (None, False, "", 0):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {expression}")
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """Press a key as a person does."""
        code, number, text = KEYS[key]
        shared = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        kind = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.send("Input.dispatchKeyEvent", **kind, **shared)
        self.send("Input.dispatchKeyEvent", type="keyUp", **shared)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, with the mouse."""
        where = self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'center'});"
            " const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def choose(self, name: str, value: str) -> None:
        """Give a field of the page's filters a value, as a person's choice does."""
        said = "(() => { const field = document.querySelector('#filters').elements[%s]; field.value = %s;"
        said += " if (field.value !== %s) throw Error('no such choice'); "
        said += "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
        quoted = json.dumps(value)
        self.evaluate(said % (json.dumps(name), quoted, quoted))

    def resize(self, width: int, height: int) -> None:
        """Let the window have this size, in pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, theme: str, media: str = "") -> None:
        """Let the system prefer light or dark colours; `media`: print or screen."""
        self.send(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": theme}]
        )

    def shoot(self, path: Path) -> None:
        """Write what is to be seen as a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def open_chromium(program: str) -> Iterator[Page]:
    """Start a browser with a profile of its own and give its one page; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="chromium") as profile:
        to_browser, from_browser = os.pipe(), os.pipe()
        kept = to_browser[0], from_browser[1]
        sandbox = () if os.geteuid() else ("--no-sandbox",)
        started = f'exec "$0" "$@" 3<&{kept[0]} 4>&{kept[1]}'
        command = ["bash", "-c", started, program, *FLAGS, *sandbox, f"--user-data-dir={profile}"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, pass_fds=kept, stdin=quiet, stdout=quiet, stderr=quiet)
        for descriptor in kept:
            os.close(descriptor)
        page = Page(from_browser[0], to_browser[1])
        try:
            target = page.send("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                page.send(f"{domain}.enable")
            page.send("Emulation.setFocusEmulationEnabled", enabled=True)
            page.resize(1400, 1000)
            yield page
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)
            os.close(page.reading)
            os.close(page.writing)
