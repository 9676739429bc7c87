from .backbones import *  # noqa: F403
from .detectron2 import *  # noqa: F403
from .heads import *  # noqa: F403
from .language_models import *  # noqa: F403
from .losses import *  # noqa: F403
from .necks import *  # noqa: F403
from .segmentors import *  # noqa: F403
