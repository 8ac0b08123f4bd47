"""Runs what docs/howto/browser.md says: its program, and its page in Chromium, which connect.

The argument is the path of a block; whichever it is, both are run.
"""

import asyncio
import re
import sys
from pathlib import Path

from playwright.async_api import async_playwright

HANG = 60  # seconds
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "browser.md"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--allow-loopback-in-peer-connection"]


def block_of(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


async def main():
    asyncio.get_running_loop().slow_callback_duration = HANG  # the driver's own steps are slow on a busy machine
    async with asyncio.timeout(HANG), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        context = await browser.new_context(permissions=["camera", "microphone"])
        page = await context.new_page()
        await page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
        await page.goto("http://localhost/")
        await page.add_script_tag(content=block_of("js"))
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", block_of("python"), stdin=pipe, stdout=pipe)
        try:
            program.stdin.write((await page.evaluate("offer()")).encode() + b"\n")
            await page.evaluate("answer => accept(answer)", (await program.stdout.readline()).decode())
            printed, _ = await program.communicate()
            assert printed.decode().splitlines()[-1] == "DTLS begins", printed
            assert program.returncode == 0
        finally:
            if program.returncode is None:
                program.kill()
        await browser.close()


asyncio.run(main())
