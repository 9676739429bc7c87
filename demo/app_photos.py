"""Make a folder of photos, boxes and sentences, without a mask, to try the app on.

python demo/app_photos.py data/app_photos
mmrefseg app --data data/app_photos
"""

import argparse

from mmrefseg.app.demo_photos import make_photos
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser


@cli
def main() -> None:
    """Make them."""
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', help='is made')
    args = parser.parse_args()
    print(f'{len(make_photos(args.folder))} objects without a mask in {args.folder}')


if __name__ == '__main__':
    main()
