//! Layout of text for people: paragraphs as wide as the terminal, commands that can be pasted, and colours.

use crate::terminal::humanize::visible;
use unicode_width::UnicodeWidthStr as _;

/// The terminal that the text is for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Terminal {
    /// Whether to use colours.
    pub coloured: bool,
    /// Number of columns; `None` where lines may have any length.
    pub width: Option<usize>,
}

/// Minimum width to wrap at.
const NARROWEST: usize = 40;

/// For titles and commands.
pub const BOLD: &str = "1";
/// For problems.
pub const RED: &str = "1;31";
/// For differences that may be intended.
pub const YELLOW: &str = "1;33";
/// For a good state.
pub const GREEN: &str = "1;32";
/// For secondary text.
pub const FAINT: &str = "2";
/// For a removed line of a diff, as git shows it.
pub const REMOVED: &str = "31";
/// For an added line of a diff.
pub const ADDED: &str = "32";
/// For the position of a hunk of a diff.
pub const HUNK: &str = "36";

/// Returns a text in this style (`SGR` of ECMA-48), or unchanged if the style is empty.
#[must_use]
pub fn styled(text: &str, style: &str) -> String {
    if style.is_empty() { text.to_owned() } else { format!("\u{1b}[{style}m{text}\u{1b}[0m") }
}

/// The text written so far.
#[derive(Debug)]
pub struct Page {
    pub(crate) text: String,
    coloured: bool,
    pub(crate) width: usize,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(terminal: Terminal) -> Self {
        let width = terminal.width.map_or(usize::MAX, |width| width.max(NARROWEST));
        Self { text: String::new(), coloured: terminal.coloured, width }
    }

    /// Writes a text, wrapped at the terminal's width.
    pub fn wrapped(&mut self, indent: &str, label: &str, text: &str, style: &str) {
        self.lines(indent, label, text, style, "");
    }

    /// Writes a command, broken only where a shell allows it.
    pub fn command(&mut self, indent: &str, label: &str, text: &str) {
        self.lines(indent, label, text, BOLD, " \\");
    }

    /// Writes a command, and on its own line the rest that is not a command, if any.
    pub fn command_then(&mut self, indent: &str, label: &str, command: &str, then: &str) {
        self.command(indent, label, command);
        if !then.is_empty() {
            self.wrapped(indent, "Then: ", then, "");
        }
    }

    fn lines(&mut self, indent: &str, label: &str, text: &str, style: &str, goes_on: &str) {
        let text = clean(text);
        let hanging = " ".repeat(columns(indent) + if label.is_empty() { 2 } else { columns(label) });
        let mut line = format!("{indent}{label}");
        let mut begun = line.len();
        let mut used = columns(&line);
        let mut first = true;
        for word in words(&text, !goes_on.is_empty()) {
            let length = columns(word);
            if !first && used + 1 + length + goes_on.len() > self.width {
                self.finish_line(&line, begun, style, goes_on);
                line.clone_from(&hanging);
                begun = line.len();
                used = columns(&line);
                first = true;
            }
            if !first {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
            first = false;
        }
        self.finish_line(&line, begun, style, "");
    }

    fn finish_line(&mut self, line: &str, begun: usize, style: &str, goes_on: &str) {
        let (before, rest) = line.split_at(begun);
        self.text.push_str(before);
        self.styled(rest, style);
        self.text.push_str(goes_on);
        self.text.push('\n');
    }

    /// Writes a text in this style, without wrapping.
    pub fn styled(&mut self, text: &str, style: &str) {
        self.text.push_str(&styled(text, if self.coloured { style } else { "" }));
    }
}

/// Splits a text into words; in a command, a quoted part is one word.
fn words(text: &str, quoted: bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut inside = false;
        let end = rest.find(|character: char| {
            inside ^= quoted && character == '\'';
            character == ' ' && !inside
        });
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.strip_prefix(' ').unwrap_or(behind);
        Some(word)
    })
}

/// Joins lines and removes everything that moves a cursor.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if matches!(character, '\n' | '\t') { ' ' } else { visible(character) }).collect()
}

/// How many columns of a terminal a text takes: one character may take two (`漢`), and one that combines takes none.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// As much of the beginning of a text as fits into `width` columns.
#[must_use]
pub fn cut(text: &str, width: usize) -> &str {
    if columns(text) <= width {
        return text;
    }
    let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(|end| columns(&text[..*end]) <= width).last();
    &text[..end.unwrap_or(0)]
}

/// A cell of a table: padded or truncated to `width`.
#[must_use]
pub fn padded(cell: &str, width: usize) -> String {
    let fits = columns(cell) <= width;
    let mut padded = if fits { cell.to_owned() } else { format!("{}…", cut(cell, width.saturating_sub(1))) };
    // Half of a wide character is not shown, so a truncated text may need padding, too.
    padded.push_str(&" ".repeat(width.saturating_sub(columns(&padded))));
    padded
}

#[cfg(test)]
mod tests {
    use super::{Page, Terminal, columns, cut, padded};

    #[test]
    fn a_cell_is_as_wide_as_a_terminal_shows_it() {
        for (cell, width, expected) in [
            ("web", 5, "web  "),
            ("web-server", 5, "web-…"),
            // Wide characters take two columns each.
            ("漢字", 5, "漢字 "),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 6, "漢字… "),
            // An accent of its own takes none, and stays with its letter.
            ("cafe\u{301}", 5, "cafe\u{301} "),
            ("cafe\u{301}s", 5, "cafe\u{301}s"),
            ("cafe\u{301}-bar", 5, "cafe\u{301}…"),
            ("web", 0, "…"),
        ] {
            assert_eq!(padded(cell, width), expected, "{cell} in {width} columns");
        }
        assert_eq!((columns("漢字"), columns("e\u{301}"), columns("…")), (4, 1, 1));
        assert_eq!((cut("漢字", 3), cut("漢字", 1), cut("e\u{301}a", 1)), ("漢", "", "e\u{301}"));
    }

    #[test]
    fn lines_break_by_columns_and_not_by_characters() {
        let text = |words: &str| {
            let mut page = Page::new(Terminal { coloured: false, width: Some(40) });
            page.wrapped("  ", "Why: ", words, "");
            page.text
        };
        // 7 columns before, and 15 characters a word: twice 15 fit, twice 30 do not.
        assert_eq!(text(&["x".repeat(15), "y".repeat(15)].join(" ")).lines().count(), 1);
        let wide = text(&["漢".repeat(15), "字".repeat(15)].join(" "));
        assert_eq!(wide, format!("  Why: {}\n       {}\n", "漢".repeat(15), "字".repeat(15)));
        // 15 letters with an accent each are 30 characters, and take 15 columns.
        assert_eq!(text(&["e\u{301}".repeat(15), "a\u{301}".repeat(15)].join(" ")).lines().count(), 1);
    }
}
