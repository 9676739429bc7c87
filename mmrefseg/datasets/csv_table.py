"""Tables written by hand or by a spreadsheet: csv with a head, of which no row is taken into another."""

import csv
import io
from collections.abc import Collection, Iterator

from ..utils import UserInputError


class CsvTable:
    """The rows of a csv file.

    Python's reader takes all that follows a quote that is never closed into its field, and says nothing.

    Args:
        content: The text of the file.
        name: Of the file, for messages.
        one_line: Columns whose fields have no line end, not even between quotes; notes in others may.
        layout: What the file should hold, for messages.
        delimiter: Between the columns.

    Attributes:
        columns: As the first line names them, without blanks around; none of an empty file.

    Raises:
        UserInputError: If a quote of the head is not closed.
    """

    def __init__(
        self, content: str, name: str, one_line: Collection[str], layout: str, delimiter: str = ','
    ) -> None:
        self._name, self._one_line, self._layout, self._delimiter = name, one_line, layout, delimiter
        self._lines = list(io.StringIO(content.removeprefix('\ufeff'), newline=''))
        if self._lines and not self._lines[-1].endswith(('\n', '\r')):
            self._lines[-1] += '\n'  # so that a quote that is open at the end takes a line end in, too
        # A blank before a quotation mark would make it, and a comma behind it, a part of the sentence.
        self._reader = csv.DictReader(self._lines, skipinitialspace=True, delimiter=delimiter)
        try:
            head = self._reader.fieldnames or []
        except csv.Error as error:
            raise self._broken(error) from None
        self._check_quotes(dict(zip(head, head, strict=True)), 0)
        self.columns = [column.strip() for column in head]

    def __iter__(self) -> Iterator[tuple[str, dict[str | None, str | list[str] | None]]]:
        """Each row with where it ends (file and line); what is beyond the head's columns is under None.

        Raises:
            UserInputError: If a quote is not closed, or Python's reader cannot read on.
        """
        read = self._reader.line_num
        try:
            for row in self._reader:
                self._check_quotes(row, read)
                read = self._reader.line_num
                yield (
                    f'{self._name} line {read}',
                    {key if key is None else key.strip(): row[key] for key in row},
                )
        except csv.Error as error:
            raise self._broken(error) from None

    def check_width(self, row: dict, where: str) -> None:
        """See that a row has no more fields than the head, as one with a comma in its sentence has.

        Raises:
            UserInputError: If it has.
        """
        more = row.get(None, [])
        if any(cell.strip() for cell in more):
            columns = len(self.columns)
            raise UserInputError.of(
                where, f'{columns + len(more)} columns', str(columns), 'put the sentence in quotes'
            )

    def _broken(self, error: csv.Error) -> UserInputError:
        return UserInputError.of(self._name, f'a broken table ({error})', self._layout, 'mend it')

    def _check_quotes(self, row: dict, read: int) -> None:
        """See that a row of several lines is one: an open quote takes the next rows into its field.

        Args:
            row: By column.
            read: How many lines had been read before it, and before blank lines above it.
        """
        last = self._reader.line_num
        lines = self._lines[read:last]
        longer = [key for key, cell in row.items() if '\n' in f'{cell}' or '\r' in f'{cell}']
        in_line = any((key or '').strip().lower() in self._one_line for key in longer)
        if not longer or not (in_line or self._unclosed(lines)):
            return
        blank = next((number for number, line in enumerate(lines) if line.strip('\r\n')), 0)
        first = read + 1 + blank
        raise UserInputError.of(
            f'{self._name} line {first}',
            f'a field in quotes that goes on to line {last}'
            if last > first
            else 'a quote that is not closed',
            'a quote at the end of its field, in the same line',
            'close it',
        )

    def _unclosed(self, lines: list[str]) -> bool:
        """Whether lines are no table if one is strict about quotes: notes may have line ends, closed ones."""
        try:
            list(csv.reader(lines, skipinitialspace=True, strict=True, delimiter=self._delimiter))
        except csv.Error:
            return True
        return False
