//! A page of text for people: paragraphs as wide as the terminal, commands that can still be pasted, and colours.

use crate::terminal::humanize::visible;

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Terminal {
    /// Whether it shows colours.
    pub coloured: bool,
    /// How many columns it has; none where lines may have any length.
    pub width: Option<usize>,
}

/// No terminal is so narrow that nothing can be read on it.
const NARROWEST: usize = 40;

/// For titles and commands.
pub const BOLD: &str = "1";
/// For what is wrong.
pub const RED: &str = "1;31";
/// For what may be meant so.
pub const YELLOW: &str = "1;33";
/// For what is well.
pub const GREEN: &str = "1;32";
/// For what stands beside it.
pub const FAINT: &str = "2";
/// For a line of a diff that is gone, as git shows it.
pub const REMOVED: &str = "31";
/// For a line of a diff that is new.
pub const ADDED: &str = "32";
/// For where in the file a part of a diff is.
pub const HUNK: &str = "36";

/// A text in this style (`SGR` of ECMA-48); as it is if the style is empty.
#[must_use]
pub fn styled(text: &str, style: &str) -> String {
    if style.is_empty() { text.to_owned() } else { format!("\u{1b}[{style}m{text}\u{1b}[0m") }
}

/// What is written so far.
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

    /// A text of several words, on as many lines as it takes.
    pub fn wrapped(&mut self, indent: &str, label: &str, text: &str, style: &str) {
        self.lines(indent, label, text, style, "");
    }

    /// A command goes on in the next line where a shell would go on too.
    pub fn command(&mut self, indent: &str, label: &str, text: &str) {
        self.lines(indent, label, text, BOLD, " \\");
    }

    /// A command, and on a line of its own what is left to do after it, if anything is.
    pub fn command_then(&mut self, indent: &str, label: &str, command: &str, then: &str) {
        self.command(indent, label, command);
        if !then.is_empty() {
            self.wrapped(indent, "Then: ", then, "");
        }
    }

    fn lines(&mut self, indent: &str, label: &str, text: &str, style: &str, goes_on: &str) {
        let text = clean(text);
        let hanging = " ".repeat(indent.chars().count() + if label.is_empty() { 2 } else { label.len() });
        let mut line = format!("{indent}{label}");
        let mut begun = line.chars().count();
        let mut used = begun;
        let mut first = true;
        for word in words(&text, !goes_on.is_empty()) {
            let length = word.chars().count();
            if !first && used + 1 + length + goes_on.len() > self.width {
                self.finish_line(&line, begun, style, goes_on);
                line.clone_from(&hanging);
                begun = line.chars().count();
                used = begun;
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
        let (before, rest) = line.split_at(line.char_indices().nth(begun).map_or(line.len(), |(at, _)| at));
        self.text.push_str(before);
        self.styled(rest, style);
        self.text.push_str(goes_on);
        self.text.push('\n');
    }

    /// A text as it is, in this style.
    pub fn styled(&mut self, text: &str, style: &str) {
        self.text.push_str(&styled(text, if self.coloured { style } else { "" }));
    }
}

/// Words; in a command, what stands in quotes is one.
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

/// On one line, and nothing in it that moves a cursor.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if matches!(character, '\n' | '\t') { ' ' } else { visible(character) }).collect()
}

/// A cell of a table: filled up, or cut.
#[must_use]
pub fn padded(cell: &str, width: usize) -> String {
    let length = cell.chars().count();
    if length > width {
        let mut cut: String = cell.chars().take(width.saturating_sub(1)).collect();
        cut.push('…');
        return cut;
    }
    format!("{cell}{}", " ".repeat(width - length))
}
