"""The looks an object can have, and the sizes its words stand for."""

COLORS = {
    'red': (212, 38, 42),
    'orange': (243, 138, 28),
    'yellow': (248, 222, 60),
    'green': (40, 158, 66),
    'blue': (38, 86, 212),
    'purple': (142, 54, 178),
    'white': (244, 244, 244),
    'black': (30, 30, 34),
}
"""RGB, 0 to 255."""

TEXTURES = ('plain', 'striped', 'dotted', 'checkered')
TEXTURE_WEIGHTS = (0.46, 0.18, 0.18, 0.18)

SIZES = {'small': (0.24, 0.28), 'medium': (0.34, 0.39), 'large': (0.47, 0.54)}
"""Diameter over picture side. The gaps keep a large object at least 1.2 times a medium one."""
SIZE_WEIGHTS = (0.36, 0.36, 0.28)
