"""The app's server: on this machine alone, and nothing is asked of any other."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from importlib import resources

# Before gradio is imported: it counts its users elsewhere, and asks for newer versions.
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
os.environ['HF_HUB_OFFLINE'] = '1'

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .desk import Desk
from .pages import build
from .trying import MOST_BYTES

HOST = '127.0.0.1'
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'self'; base-uri 'self'; "
    "form-action 'self'"
)
"""What a browser lets the page load: of this server alone, whatever gradio's front end would like."""


class LocalOnly:
    """Answers with :data:`POLICY`, and refuses what other pages ask for, by another name or from elsewhere.

    A page that is open in the same browser could otherwise speak to the app.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode('latin-1') for name, value in scope['headers']}
        host = headers.get(b'host', '')
        foreign = headers.get(b'origin', f'http://{host}') != f'http://{host}'
        if foreign or host.rpartition(':')[0] not in (HOST, 'localhost'):
            await send({'type': 'http.response.start', 'status': 403, 'headers': []})
            await send({'type': 'http.response.body', 'body': b'This app answers to its own pages only.\n'})
            return

        async def with_policy(message: Message) -> None:
            if message['type'] == 'http.response.start':
                more = [(b'content-security-policy', POLICY.encode()), (b'referrer-policy', b'no-referrer')]
                message = {**message, 'headers': [*message.get('headers', []), *more]}
            await send(message)

        await self.app(scope, receive, with_policy)


def theme() -> gr.themes.Base:
    """The system's own fonts: those of gradio's themes are fetched from elsewhere."""
    fonts = ('system-ui', 'Segoe UI', 'Roboto', 'Helvetica Neue', 'Arial', 'sans-serif')
    mono = ('ui-monospace', 'Consolas', 'monospace')
    made = gr.themes.Base(
        primary_hue='orange', neutral_hue='slate', radius_size='md', font=fonts, font_mono=mono
    )
    return made.set(
        button_primary_background_fill='#c85a00',
        button_primary_background_fill_hover='#a84b00',
        button_primary_text_color='#ffffff',
    )


def start(desk: Desk, first: str = 'try', port: int | None = None) -> tuple[gr.Blocks, str]:
    """Start the server, and return at once.

    Args:
        desk: What the pages share.
        first: The page that is open at first.
        port: Its port; the first free one from 7860 on if it is None.

    Returns:
        The app, to be closed, and its address.
    """
    os.environ['GRADIO_TEMP_DIR'] = desk.folder.name
    app = build(desk, first)
    _, address, _ = app.queue(default_concurrency_limit=4).launch(
        server_name=HOST,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        run_history=False,
        root_path='',
        footer_links=[],
        max_file_size=MOST_BYTES,
        theme=theme(),
        css=resources.files(__package__).joinpath('templates', 'app.css').read_text(encoding='utf-8'),
        app_kwargs=dict(middleware=[Middleware(LocalOnly)], docs_url=None, redoc_url=None, openapi_url=None),
    )
    if first == 'label':
        desk.prepare_labelling()
    return app, address


def serve(desk: Desk, first: str, port: int | None, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; ``say`` is told the address."""
    app, address = start(desk, first, port)
    say(f'mmrefseg app: {address}  (Ctrl-C ends it; a training that runs goes on)')
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with contextlib.suppress(KeyboardInterrupt):
            while not ended.wait(1.0):
                pass
    finally:
        app.close(verbose=False)
        desk.close()
