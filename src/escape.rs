//! Text from outside, such as a title that a feed sent: its characters that a terminal, a
//! spreadsheet or a log viewer obeys instead of showing are written as escapes.

use std::borrow::Cow;
use std::fmt::Write;

/// Sequences of these colours and styles are printed by this program: `ESC [ 1 m`.
const STYLES: [&str; 21] = [
    "0", "1", "2", "3", "4", "30", "31", "32", "33", "34", "35", "36", "37", "90", "91", "92",
    "93", "94", "95", "96", "97",
];

/// Whether a character is not shown but changes how others are: a control character, of C0 or C1,
/// a line separator, or one that changes the direction of text.
pub fn is_hidden(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(one, '\u{2066}'..='\u{2069}')
}

/// One line of text: line breaks and tabs become blanks, other hidden characters `\u{202e}`.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    replace(text, is_hidden, |text, one| match one {
        '\n' | '\r' | '\t' => text.push(' '),
        other => write_escape(text, other),
    })
}

/// Lines of text with styles, as this program prints them: any hidden character that is neither a
/// line break, a tab nor part of a style becomes `\u{202e}`.
pub fn escape_styled(text: &str) -> Cow<'_, str> {
    let is_replaced = |one| is_hidden(one) && one != '\n' && one != '\t';
    if !text.contains(is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut pieces = text.split('\u{1b}');
    let escape = |piece| replace(piece, is_replaced, write_escape);
    let mut escaped = escape(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let style = piece.strip_prefix('[').and_then(|piece| piece.split_once('m'));
        if style.is_some_and(|(style, _)| STYLES.contains(&style)) {
            escaped.push('\u{1b}');
        } else {
            write_escape(&mut escaped, '\u{1b}');
        }
        escaped.push_str(&escape(piece));
    }
    Cow::Owned(escaped)
}

/// JSON without line breaks between its tokens: hidden characters, which are within its strings
/// only, become `\u202e`.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // All of them have four digits.
    replace(json, is_hidden, |text, one| write_to(text, format_args!("\\u{:04x}", u32::from(one))))
}

/// The beginning of a text, at most so many characters, as one line.
pub fn excerpt(text: &str, chars_max: usize) -> String {
    escape_line(&shorten(text, chars_max)).into_owned()
}

/// The first characters of a text, with a mark where it is longer.
pub fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn write_escape(text: &mut String, one: char) {
    write_to(text, format_args!("{}", one.escape_unicode()));
}

fn write_to(text: &mut String, escape: std::fmt::Arguments<'_>) {
    text.write_fmt(escape).expect("writing to a string cannot fail");
}

fn replace(
    text: &str,
    is_replaced: impl Fn(char) -> bool,
    write: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if !text.contains(&is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    for one in text.chars() {
        if is_replaced(one) { write(&mut replaced, one) } else { replaced.push(one) }
    }
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}b\u{2066}\u{7f}\r\nc";

    #[test]
    fn no_hidden_character_of_outside_text_is_left() {
        let line = escape_line(HOSTILE);
        assert_eq!(line, "a\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{202e}b\\u{2066}\\u{7f}  c");
        let styled = escape_styled(HOSTILE);
        assert!(!styled.contains(|one| is_hidden(one) && one != '\n'), "{styled:?}");
        assert_eq!(escape_line("Gallium – für 中国"), "Gallium – für 中国");
        assert_eq!(excerpt("ab\u{202e}cdef", 4), "ab\\u{202e}c…");
        assert_eq!(excerpt("abcd", 4), "abcd");
    }

    #[test]
    fn styles_of_this_program_stay_and_other_sequences_do_not() {
        let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        let styled = format!("{style}bold{style:#}\nplain");
        assert_eq!(escape_styled(&styled), styled);
        for bad in
            ["\u{1b}[8mx", "\u{1b}[2J", "\u{1b}]0;x\u{7}", "\u{1b}", "\u{1b}[31", "\u{1b}[1;8m"]
        {
            let escaped = escape_styled(bad).into_owned();
            assert!(!escaped.contains('\u{1b}'), "{escaped:?}");
        }
    }

    #[test]
    fn json_means_the_same_without_hidden_characters() {
        let json = serde_json::to_string(HOSTILE).unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.contains(is_hidden), "{escaped:?}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), HOSTILE);
    }
}
