"""Packaging. Imports nothing of the package and nothing that must be installed first."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 'mmrefseg'
PYTHONS = ('3.11', '3.12', '3.13', '3.14')
MIM_CONTENT = ('configs', 'demo', 'tools', 'model-index.yml', 'dataset-index.yml')
DATA = ('html', 'jinja', 'css', 'js', 'json', 'txt', 'yml', 'safetensors')
NOT_MIM = shutil.ignore_patterns('__pycache__', '*.pyc')


class BuildWithMim(build_py):
    """Carry configs and tools in ``mmrefseg/.mim``, where mmengine and mim look for them.

    A wheel gets copies. An editable install gets links beside the sources: a changed config counts at once.
    """

    def run(self) -> None:
        super().run()
        editable = getattr(self, 'editable_mode', False)
        mim = (ROOT if editable else Path(self.build_lib)) / PACKAGE / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_CONTENT:
            source, target = ROOT / name, mim / name
            if not source.exists():
                continue
            if editable:
                target.symlink_to(Path('..', '..', name))
            elif source.is_dir():
                shutil.copytree(source, target, ignore=NOT_MIM)
            else:
                shutil.copy2(source, target)


def read_version() -> str:
    namespace: dict = {}
    exec((ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8'), namespace)
    return namespace['__version__']


def read_requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def read_readme() -> str:
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.exists() else ''


# which mmcv, compiled or lite, is the user's choice: a dependency on either would overwrite the other's files
HOST_PACKAGES = [line for line in read_requirements('mminstall') if not line.startswith('mmcv')]

setup(
    name=PACKAGE,
    version=read_version(),
    description='Referring and instance segmentation that learns from few masks (OpenMMLab plugin package)',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='referring expression segmentation, instance segmentation, partial supervision, pseudo labels',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: [f'**/*.{ending}' for ending in DATA]},
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: POSIX :: Linux',
        *(f'Programming Language :: Python :: {python}' for python in PYTHONS),
    ],
    python_requires='>=3.11,<3.15',
    install_requires=read_requirements('runtime') + HOST_PACKAGES,
    extras_require={
        'app': read_requirements('app'),
        'mim': read_requirements('mminstall'),
        'huggingface': read_requirements('huggingface'),
        'optional': read_requirements('optional'),
        'docs': read_requirements('docs'),
        'tests': read_requirements('tests'),
    },
    entry_points={'console_scripts': ['mmrefseg = mmrefseg.cli.main:main']},
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
