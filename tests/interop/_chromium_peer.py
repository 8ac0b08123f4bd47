"""Chromium, headless, in processes of its own: `EXECUTABLE [SWITCH...]`. It is told what to do as `_peer_process` says.

- `{"open": configuration, "hidden": bool}`: a new page with an RTCPeerConnection in the place of the one before; a hidden one has
  names in the place of its addresses
- `{"call": name, "with": [argument, ...]}`: calls a function of `_chromium_page.js`; the result is what that returns

Either may have a `"page"`, the number of one of several pages; without it that is 0.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from playwright.async_api import Browser, Error, Page, async_playwright

PAGE = Path(__file__).with_name("_chromium_page.js")
ORIGIN = "http://localhost/"  # never asked for anything: `route` answers in its place
ARGUMENTS = (
    "--no-sandbox",  # or root cannot run it
    "--disable-dev-shm-usage",  # which is small in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


async def main(executable: str, *switches: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *switches])
        pages: dict[int, Page] = {}
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            answer = {"id": command["id"]}
            number = command.get("page", 0)
            try:
                if "open" in command:
                    if number in pages:
                        await pages.pop(number).context.close()
                    pages[number] = await open_page(browser, hidden=command["hidden"])
                    await call(pages[number], "open", command["open"])
                    answer["result"] = browser.version
                else:
                    answer["result"] = await call(pages[number], command["call"], *command["with"])
            except Error as error:
                answer["error"] = str(error)
            print(json.dumps(answer), flush=True)
        await browser.close()


async def open_page(browser: Browser, *, hidden: bool) -> Page:
    # Who may use the camera may know the addresses: Chromium shows them, and uses every interface.
    context = await browser.new_context(permissions=[] if hidden else ["camera", "microphone"])
    await context.add_init_script(path=PAGE)
    page = await context.new_page()
    await page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
    await page.goto(ORIGIN)
    return page


async def call(page: Page, name: str, *arguments: object) -> object:
    return await page.evaluate("([name, ...rest]) => ice[name](...rest)", [name, *arguments])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
