"""The four pages, in gradio; what they do is in :class:`~mmrefseg.app.desk.Desk`."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
import pandas  # gradio's own need
from markupsafe import escape

from ..experiments.own_folder import STAGES
from ..utils import UserInputError
from ..visualization.pages import read_template
from .desk import Desk
from .progress import draw_progress
from .training import Curve
from .trying import find

PAGES = ('try', 'label', 'train', 'review')
TITLE = 'mmrefseg'


def build(desk: Desk, first: str = 'try') -> gr.Blocks:
    """All pages as one app.

    Args:
        desk: What they share.
        first: The page that is open at first, one of :data:`PAGES`.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False) as app:
        gr.HTML('<header><b>mmrefseg</b><span>from few masks to a segmenter</span></header>')
        with gr.Tabs(selected=first, elem_id='pages'):
            with gr.Tab('Try', id='try'):
                _try_page(desk)
            with gr.Tab('Label', id='label'):
                _label_page(desk)
            with gr.Tab('Train', id='train'):
                steps = _train_page(desk)
            with gr.Tab('Review', id='review'):
                _review_page(desk, steps)
    return app


def _try_page(desk: Desk) -> None:
    gr.Markdown('## Find what a sentence refers to')
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            photo = gr.Image(
                type='filepath', image_mode=None, sources=['upload', 'clipboard'], label='Photo', height=340,
                elem_id='photo', buttons=[],
            )  # fmt: skip
            # The package's own reader looks at an upload, and nobody before. (A class of its own would make
            # gradio look for a front end of that name.)
            photo.preprocess = lambda payload: None if payload is None else payload.path
            text = gr.Textbox(
                label='Sentences, one a line', lines=3, elem_id='sentences', max_length=20_000,
                placeholder='the red star\nthe small circle on the left',
            )  # fmt: skip
            threshold = gr.Slider(0, 1, 0, step=0.01, label='Least score')
            button = gr.Button('Find', variant='primary', elem_id='find', size='lg')
        with gr.Column(scale=3, min_width=420):
            gallery = gr.Gallery(
                show_label=False, columns=2, height=460, object_fit='contain', elem_id='found',
                buttons=['fullscreen'],
            )  # fmt: skip
            table = gr.HTML(elem_id='scores')
            download = gr.DownloadButton(
                'Download masks, drawings and predictions.json', interactive=False, elem_id='download'
            )

    def run(path: str | None, sentences: str, least: float) -> tuple:
        answer = _or_sentence(lambda: find(desk.proposer, path, sentences, least, desk.download()))
        shown = gr.update(value=answer.pictures, columns=min(len(answer.pictures), 2))
        return shown, _as_table(answer), gr.update(value=str(answer.archive), interactive=True)

    button.click(run, [photo, text, threshold], [gallery, table, download], api_visibility='private')


def _as_table(answer: Any) -> str:
    rows = ''.join(
        f'<tr><td>{escape(sentence)}</td><td>{score:.3f}</td><td>{verdict}</td></tr>'
        for sentence, score, verdict in answer.rows
    )
    head = '<tr><th>sentence</th><th>score</th><th></th></tr>'
    return f'<table class="scores">{head}{rows}</table><p class="faint">{escape(answer.note)}</p>'


def _label_page(desk: Desk) -> None:
    def act(action: dict) -> dict:
        return desk.label(action)

    gr.HTML(
        '',
        html_template=read_template(__package__, 'label.html'),
        js_on_load=read_template(__package__, 'label.js'),
        server_functions=[act],
        elem_id='label',
        apply_default_css=False,
    )


def _train_page(desk: Desk) -> gr.Slider:
    gr.Markdown('## Train on the masks there are')
    about = gr.Markdown(desk.summary())
    with gr.Row(equal_height=True):
        start = gr.Button('Start training', variant='primary', elem_id='start', scale=2)
        stop = gr.Button('Stop', elem_id='stop', interactive=False)
        resume = gr.Button('Resume', elem_id='resume', interactive=False)
    steps = gr.Slider(
        0.05, 2, 0.25, step=0.05, label='Length',
        info='1: 1,000 steps for boxes and 600 for masks, for real photos; 0.1 for a first look',
        elem_id='steps',
    )  # fmt: skip
    shown = gr.HTML(draw_progress(None), elem_id='progress')
    with gr.Row():
        plots = [
            gr.LinePlot(
                None, 'step', 'loss', title=f'loss of {title}', height=260, min_width=420, visible=False,
                elem_id=f'loss-{name}',
            )
            for name, title in STAGES[:-1]
        ]  # fmt: skip
    outputs = [about, shown, start, stop, resume, *plots]

    def look() -> tuple:
        progress, folder = _or_sentence(desk.training)
        state = progress.state if progress is not None else ''
        first = gr.update(interactive=desk.project is not None and state != 'running')
        second, third = (
            gr.update(interactive=state == 'running'),
            gr.update(interactive=state in ('stopped', 'failed')),
        )
        losses = progress.losses if progress is not None else {}
        drawn = [_as_plot(losses.get(title, [])) for _, title in STAGES[:-1]]
        return desk.summary(), draw_progress(progress, folder), first, second, third, *drawn

    def after(do: Callable[..., None]) -> Callable[..., tuple]:
        def run(*values: Any) -> tuple:
            _or_sentence(lambda: do(*values))
            return look()

        return run

    quiet = dict(show_progress='hidden', api_visibility='private')
    start.click(after(desk.train), [steps], outputs, **quiet)
    stop.click(after(desk.stop), None, outputs, **quiet)
    resume.click(after(desk.resume), None, outputs, **quiet)
    gr.Timer(2.0).tick(look, None, outputs, **quiet)
    return steps


def _as_plot(curve: Curve) -> dict[str, Any]:
    """What a plot becomes: one point is no line."""
    return gr.update(value=pandas.DataFrame(curve, columns=['step', 'loss']), visible=len(curve) > 1)


def _review_page(desk: Desk, steps: gr.Slider) -> None:
    gr.Markdown(
        '## Look at the masks of the other objects\n'
        'The network draws a mask into every box that has none. The score decides, and you decide against it.'
    )
    # What comes next stands out.
    first, second = ('primary', 'secondary') if desk.review() is None else ('secondary', 'primary')
    with gr.Row(equal_height=True):
        predict = gr.Button('Predict masks', variant=first, elem_id='predict', scale=2)
        train = gr.Button('Train with the accepted masks', variant=second, elem_id='train-review', scale=2)
    status = gr.Markdown(elem_id='review-status')

    def review(action: dict) -> dict:
        return desk.decide(action)

    cards = gr.HTML(
        '',
        html_template=read_template(__package__, 'review.html'),
        js_on_load=read_template(__package__, 'review.js'),
        server_functions=[review],
        elem_id='review',
        apply_default_css=False,
    )

    def run(progress: gr.Progress = gr.Progress()) -> tuple:
        def told(images: Iterable) -> Iterable:
            return progress.tqdm(list(images), desc='photos')

        number = _or_sentence(lambda: desk.predict_masks(told))
        said = f'{number} masks by {desk.proposer.weights}'
        return said, str(time.time()), gr.update(variant='secondary'), gr.update(variant='primary')

    def begin(length: float) -> str:
        _or_sentence(lambda: desk.train_on_review(length))
        return 'The training has begun: see the page Train.'

    predict.click(run, None, [status, cards, predict, train], api_visibility='private')
    train.click(begin, [steps], status, api_visibility='private')


def _or_sentence(do: Callable[[], Any]) -> Any:
    """A user's mistake as gradio shows one."""
    try:
        return do()
    except UserInputError as error:
        # a name of a file in it may hold what a browser takes for elements
        raise gr.Error(
            str(escape(str(error))), duration=12, title='That did not work', print_exception=False
        ) from None
