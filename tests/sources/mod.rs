//! Source files as the architecture test sees them: without comments and the contents of strings.

use std::collections::BTreeSet;
use std::path::Path;

/// One source file.
pub(crate) struct Source {
    /// From the root of the package, such as `src/domain/rule.rs`.
    pub(crate) path: String,
    /// All of its code; line for line as long as the file.
    pub(crate) code: String,
    /// Its code before the tests; empty in a file of tests.
    pub(crate) production: String,
}

/// Every Rust file below these folders of the package that exist, by path.
pub(crate) fn all_sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in folders.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
        collect(&folder, &mut paths);
    }
    paths.sort_unstable();
    let mut sources: Vec<Source> = paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("source files are UTF-8");
            let path = path.strip_prefix(root).expect("found below the root");
            Source::new(path.display().to_string(), &text)
        })
        .collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(Source::files_of_tests).collect();
    for source in sources.iter_mut().filter(|source| tests.contains(&source.path)) {
        source.production.clear();
    }
    sources
}

fn collect(folder: &Path, paths: &mut Vec<std::path::PathBuf>) {
    for entry in folder.read_dir().expect("a folder of the package can be read") {
        let path = entry.expect("a folder of the package can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    fn new(path: String, text: &str) -> Self {
        let code = blank(text);
        let only_tests = path.starts_with("tests/");
        let end = if only_tests { 0 } else { inline_tests(&code).unwrap_or(code.len()) };
        let production = code.get(..end).expect("found at a line's start").to_owned();
        Self { path, code, production }
    }

    /// The module of the library, or `main` or `lib`.
    pub(crate) fn module(&self) -> &str {
        self.parts().next().unwrap_or_default()
    }

    /// The folder within the module that the file is in, `streams` of
    /// `src/grpc/streams/subscription.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        let mut parts = self.parts().skip(1);
        parts.next().filter(|_| parts.next().is_some())
    }

    /// How many lines the file has.
    pub(crate) fn lines(&self) -> usize {
        self.code.lines().count()
    }

    /// Whether the code before the tests names an item or a path.
    pub(crate) fn names(&self, name: &str) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.production.match_indices(name).any(|(at, _)| {
            let before = self.production.get(..at).and_then(|text| text.chars().next_back());
            let after = self.production.get(at + name.len()..).and_then(|text| text.chars().next());
            !is_word(before) && !is_word(after)
        })
    }

    /// The modules of the library that the code before the tests names in a path, in groups as
    /// well.
    pub(crate) fn uses(&self) -> BTreeSet<String> {
        names_after("crate::", &self.with_whole_paths())
    }

    /// What the code before the tests names of its own module: `codec` of `crate::grpc::codec`.
    pub(crate) fn uses_of_own_module(&self) -> BTreeSet<String> {
        names_after(&format!("crate::{}::", self.module()), &self.with_whole_paths())
    }

    /// The code before the tests, its paths from the root of the library: in the binary the library
    /// has its own name, elsewhere enough `super::` lead to the module or to the root.
    fn with_whole_paths(&self) -> String {
        let depth = self.parts().filter(|part| *part != "mod").count();
        let to_module = format!("crate::{}::", self.module());
        let text = self.production.replace("lodewatch::", "crate::");
        let text = text.replace(&"super::".repeat(depth), "crate::");
        let above = depth.saturating_sub(1);
        if above == 0 { text } else { text.replace(&"super::".repeat(above), &to_module) }
    }

    /// Every function before the tests, and how many lines it has. Relies on rustfmt: a body ends
    /// in a brace of its own, as far from the margin as it began.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.production.lines().collect();
        let mut functions = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let Some((before, after)) = line.split_once("fn ") else { continue };
            let margin = line.len() - line.trim_start().len();
            let plain = before.split_whitespace().all(|word| {
                word.starts_with("pub") || matches!(word, "async" | "const" | "crate)" | "super)")
            });
            let opens = lines.iter().skip(start).find(|line| line.ends_with(['{', '}', ';']));
            // A macro's function has no name yet.
            let Some(name) = word(after).filter(|_| plain) else { continue };
            if !opens.is_some_and(|line| line.ends_with('{')) {
                continue;
            }
            let closing = format!("{}}}", " ".repeat(margin));
            let length = lines.iter().skip(start).position(|line| *line == closing);
            functions.push((name, length.map_or(0, |length| length + 1)));
        }
        functions
    }

    /// The files of modules that are declared here for tests only.
    fn files_of_tests(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder,
            _ => self.path.strip_suffix(".rs").unwrap_or(&self.path),
        };
        let declared = self.code.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
            let line =
                rest.lines().next()?.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        declared.map(|module| format!("{folder}/{module}.rs")).collect()
    }

    /// `domain` and `rule` of `src/domain/rule.rs`.
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1).map(|part| part.strip_suffix(".rs").unwrap_or(part))
    }
}

/// The names that follow a start of paths, those in a group as well.
fn names_after(start: &str, text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(start) {
        let rest = text.get(at + start.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => names.extend(heads(group)),
            None => names.extend(word(rest)),
        }
    }
    names
}

/// The first names of a group's parts: `domain` and `engine` of `domain::{Seq, Slug}, engine}`.
fn heads(group: &str) -> Vec<String> {
    let mut heads: Vec<String> = word(group.trim_start()).into_iter().collect();
    let mut depth = 0_usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.extend(word(group.get(at + 1..).unwrap_or_default().trim_start()));
            }
            _ => {}
        }
    }
    heads
}

/// The name that a text begins with.
fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).filter(|word| !word.is_empty()).map(str::to_owned)
}

/// Where the tests within a file begin: they stand last.
fn inline_tests(code: &str) -> Option<usize> {
    let mark = "#[cfg(test)]\n";
    code.match_indices(mark).map(|(at, _)| at).find(|at| {
        let next = code.get(at + mark.len()..).and_then(|rest| rest.lines().next());
        next.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    })
}

/// The code without comments and contents of strings, line for line.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest, '"'),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let taken = if length == 0 { c.len_utf8() } else { length };
        let (now, later) = rest.split_at(taken);
        if length == 0 {
            code.push_str(now);
        } else {
            code.extend(now.chars().map(|c| if c == '\n' { c } else { ' ' }));
        }
        rest = later;
    }
    code
}

/// How long the literal in these quotes is.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// How long the raw string is; 0 where there is none.
fn raw(text: &str) -> usize {
    let hashes = text.chars().skip(1).take_while(|c| *c == '#').count();
    let body = hashes + 2;
    if text.get(hashes + 1..body) != Some("\"") {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let found = text.get(body..).and_then(|text| text.find(&end));
    found.map_or(text.len(), |at| body + at + end.len())
}

/// How long the character literal is; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut after = text.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 0,
    }
}

/// The reader itself: a wall that lets everything through would look just like a sound house.
#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("src/engine/rule.rs".to_owned(), text)
    }

    #[test]
    fn paths_are_found_in_groups_and_through_super() {
        let text = "use crate::domain::Seq;\nuse crate::{journal::{Error, tail}, archive};\nuse super::super::grpc::pb;\n\
            use super::state;\nfn f() { crate::clock::Clock::system() }\n// use crate::server;\nconst A: &str = \"crate::cli\";\n\
            #[cfg(test)]\nmod tests {\n    use crate::client;\n}\n";
        let uses: Vec<String> = source(text).uses().into_iter().collect();
        assert_eq!(uses, ["archive", "clock", "domain", "engine", "grpc", "journal"]);
    }

    #[test]
    fn rooms_of_the_own_module_are_found_from_the_root_and_through_super() {
        let text = "use crate::grpc::codec::cursor;\nuse super::super::{admission::Limits, status};\nuse super::alert;\n";
        let file = Source::new("src/grpc/services/feed.rs".to_owned(), text);
        let uses: Vec<String> = file.uses_of_own_module().into_iter().collect();
        assert_eq!(uses, ["admission", "codec", "status"]);
        assert_eq!(file.room(), Some("services"));
    }

    #[test]
    fn modules_for_tests_only_are_distinguished_from_others() {
        let text = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\npub(crate) mod c;\n";
        assert_eq!(source(text).files_of_tests(), ["src/engine/rule/b.rs", "src/engine/rule/c.rs"]);
        let cover = Source::new("src/engine/mod.rs".to_owned(), text);
        assert_eq!(cover.files_of_tests(), ["src/engine/b.rs", "src/engine/c.rs"]);
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "let a = \"f64 \\\" f64\"; // f64\nlet b = r#\"f64 \"f64\"#; /* f64\nf64 */ let c = '\"'; let d: &'static str = e;\n";
        let source = source(text);
        assert!(!source.names("f64"));
        assert!(source.names("static") && source.names("str"));
        assert_eq!(source.lines(), text.lines().count());
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let text = "impl A {\n    pub(crate) async fn one(\n        &self,\n    ) -> u8 {\n        if x {\n        }\n        1\n    }\n\
            \n    fn two() {}\n}\n\ntrait B {\n    fn three(&self);\n}\n";
        assert_eq!(source(text).functions(), [("one".to_owned(), 7)]);
    }
}
