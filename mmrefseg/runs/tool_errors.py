"""Errors of the host packages that a user can mend, as one sentence."""

import contextlib
import functools
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from ..utils.errors import UserInputError, cli, did_you_mean, explain_os_error
from .build_errors import built_key, explain_build

WORKER_ERROR = re.compile(r'^Caught UserInputError in .*?^\S*UserInputError: (.*)', re.DOTALL | re.MULTILINE)
NOT_REGISTERED = re.compile(r'(\S+) is not in the (\S+?)::(.+?) registry')
CLASSES = re.compile(r'(?:class `\w+` in \S+?\.py: )+')
# Functions that call a class with what the config says: an error raised in one is about those arguments.
BUILDERS = ('build_from_cfg', 'get_instance')
# A file name that tools/dist_run.py gives to the processes it starts: who makes the file first may speak.
CLAIM = 'MMREFSEG_ERROR_CLAIM'


def tool(main: Callable[..., int | None]) -> Callable[..., None]:
    """Decorate a tool's ``main``: what a user can get wrong becomes one line on stderr and exit code 2.

    Like :func:`mmrefseg.utils.cli`, and also for errors that mmengine raises,
    errors in data loader workers, and several processes, of which one speaks.
    """

    @functools.wraps(main)
    def guarded(*args, **kwargs) -> int | None:
        logging.FileHandler.handleError = _raise_os_errors
        try:
            with one_sentence():
                return main(*args, **kwargs)
        except UserInputError as error:
            if CLAIM in os.environ:
                _end_process(str(error) if _first_to_fail() else None)
            raise
        except Exception:
            if os.path.exists(os.environ.get(CLAIM, '')):
                _end_process()  # a connection closed, because another process has ended with its sentence
            raise
        except KeyboardInterrupt:
            sys.stderr.write('interrupted; training goes on from its last checkpoint with --resume\n')
            return 130

    return cli(guarded)


@contextlib.contextmanager
def one_sentence(where: str = 'config') -> Iterator[None]:
    """Turn the host packages' errors about a user's input into UserInputError; let all others through.

    Args:
        where: What the input was read from.

    Raises:
        UserInputError: Instead of the error that was recognised.
    """
    try:
        yield
    except UserInputError as error:
        sentence = _without_classes(unwrap_worker_error(str(error)))
        raise UserInputError(_with_key(sentence, built_key(error, sentence))) from error
    except OSError as error:
        sentence = explain_os_error(error)
        if sentence is None:
            raise
        raise UserInputError(sentence) from error
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        raise UserInputError(f'{where}: {_with_key(_without_classes(sentence), built_key(error))}') from error


def _with_key(sentence: str, key: str | None) -> str:
    return f'{key}: {sentence}' if key else sentence


def _without_classes(sentence: str) -> str:
    """A sentence without the classes that older versions of mmengine put before it, one for each level."""
    return CLASSES.sub('', sentence)


def unwrap_worker_error(message: str) -> str:
    """The sentence inside the traceback text that a data loader's worker process sends."""
    found = WORKER_ERROR.match(message)
    return found[1].strip() if found else message


def explain(error: Exception) -> str | None:
    """One sentence for an error of a host package, or None if it is not the user's."""
    message = str(error.args[0]) if error.args else ''
    found = NOT_REGISTERED.search(message) if isinstance(error, KeyError) else None
    if found:
        return _unknown_type(found[1], found[3])
    if type(error).__name__ == 'MissingOperatorError':
        return message
    frame = _raising_frame(error)
    if frame is None:
        return None
    if isinstance(error, TypeError) and (name := _unknown_optimizer(error)):
        return _unknown_type(name, 'optimizer')
    if isinstance(error, TypeError) and (sentence := _unknown_argument(message, error)):
        return sentence
    if frame.f_code.co_name in BUILDERS and isinstance(error, (KeyError, TypeError)):
        return _bad_arguments(message, frame)
    if frame.f_code.co_name == '_save_best_checkpoint' and isinstance(error, KeyError):
        choices = ', '.join(frame.f_locals.get('metrics', ())) or 'none'
        return f'save_best={message!r} is not a metric of the validation ({choices}); choose one of them'
    in_file = frame.f_code.co_filename.endswith
    if in_file(os.path.join('mmengine', 'runner', 'runner.py')) or message.startswith('Failed to get '):
        return _one_line(message) or None
    return None if isinstance(error, RuntimeError) else explain_build(error)


def _raise_os_errors(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """End a run whose log cannot be written, instead of a traceback for each of its lines."""
    error = sys.exc_info()[1]
    if isinstance(error, OSError):
        error.filename = handler.baseFilename
        raise error
    logging.Handler.handleError(handler, record)


def _end_process(sentence: str | None = None) -> NoReturn:
    """End one of several processes at once: the threads of gloo would abort an orderly exit."""
    sys.stdout.flush()
    if sentence:
        sys.stderr.write(f'error: {sentence}\n')
    sys.stderr.flush()
    os._exit(2)


def _first_to_fail() -> bool:
    """Whether no other process of this run has reported an error yet."""
    try:
        os.close(os.open(os.environ[CLAIM], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _unknown_type(name: str, registry_name: str) -> str:
    near = did_you_mean(name, _registered_names(registry_name))
    kind = registry_name.replace('_', ' ')
    return f"type='{name}' is not a known {kind}{near}; correct the name in the config"


def _registered_names(registry_name: str) -> set[str]:
    """Every name that the registries called ``registry_name`` know: mmengine's and its children's."""
    from mmengine.registry import Registry, root  # brings torch: only an error needs it

    names: set[str] = set()
    pending = [
        value for value in vars(root).values() if isinstance(value, Registry) and value.name == registry_name
    ]
    while pending:
        registry = pending.pop()
        names.update(registry.module_dict)
        pending.extend(registry.children.values())
    return names


def _raising_frame(error: Exception) -> FrameType | None:
    """The frame that raised; calling a function with wrong arguments raises in the caller's frame."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame if traceback is not None else None


def _unknown_optimizer(error: Exception) -> str | None:
    """The ``type`` that mmengine's constructor has looked for in vain; it does not say so."""
    traceback = error.__traceback__
    while traceback is not None:
        values = traceback.tb_frame.f_locals
        if 'optimizer_cls' in values and values['optimizer_cls'] is None:
            return str(values['self'].optimizer_cfg.get('type'))
        traceback = traceback.tb_next
    return None


def _unknown_argument(message: str, error: TypeError) -> str | None:
    """A key of a config that its class hands on to a base class, which does not know it."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", message)
    traceback, built = error.__traceback__, None
    while traceback is not None:
        values = traceback.tb_frame.f_locals
        if traceback.tb_frame.f_code.co_name == 'build_from_cfg' and unknown:
            cls, given = values.get('obj_cls'), values.get('args') or {}
            built = cls if inspect.isclass(cls) and unknown[1] in given else built
        traceback = traceback.tb_next
    if built is None:
        return None
    names = argument_names(built)
    near = did_you_mean(unknown[1], names) or f', expected one of {", ".join(sorted(names))}'
    return f'{built.__name__} takes no argument {unknown[1]!r}{near}; correct the config'


def argument_names(cls: type) -> set[str]:
    """Names of the arguments of a class and of those that its ``**kwargs`` go to."""
    names: set[str] = set()
    for base in cls.__mro__:
        if '__init__' in vars(base) and base is not object:
            parameters = inspect.signature(base.__init__).parameters.values()
            names.update(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names - {'self'}


def _bad_arguments(message: str, frame: FrameType) -> str:
    built = frame.f_locals.get('obj_cls', frame.f_locals.get('cls'))
    unknown = re.search(r"unexpected keyword argument '(\w+)'", message)
    near = ''
    if unknown and callable(built):
        with contextlib.suppress(TypeError, ValueError):
            near = did_you_mean(unknown[1], inspect.signature(built).parameters)
    return f'{_one_line(message).removeprefix("type object ")}{near}; correct the config'


def _one_line(text: str) -> str:
    return ' '.join(text.split())
