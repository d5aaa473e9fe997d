//! What the reader of YAML says, in words for the one who wrote the text. The reader speaks to programmers.

/// A part of what the reader says, what that means, and what to do. `{}` is the word that the reader names.
const WORDS: [(&str, &str, &str); 19] = [
    (
        "duplicate mapping key: ",
        "the key `{}` stands here twice",
        "remove one of the two",
    ),
    (
        "alias references unknown anchor",
        "there is no anchor of this name before",
        "mark what is meant with `&name`; a text that begins with `*` stands in quotes",
    ),
    (
        "tabs disallowed",
        "this line is indented with a tab",
        "indent with blanks: YAML takes no tabs there",
    ),
    (
        "unclosed quote",
        "a text in quotes has no end",
        "close the quote",
    ),
    (
        "unknown escape character",
        "a text in double quotes has an escape that there is not",
        "write `\\\\` for a backslash, or put the text in single quotes",
    ),
    (
        "unexpected character: `",
        "`{}` cannot begin a text",
        "put the text in quotes",
    ),
    (
        "mapping values are not allowed",
        "there is a second `: ` in this line",
        "put the value in quotes, or begin a new line for the inner key",
    ),
    (
        "did not find expected key",
        "this line belongs to nothing above it",
        "indent it like the other keys of its map, or items of its list",
    ),
    (
        "illegal placement of ':'",
        "there can be no `:` here",
        "close the bracket or the quote before it",
    ),
    (
        "mismatched bracket",
        "a bracket is closed by one of another kind",
        "close `[` with `]` and `{` with `}`; after the last item there is no need of a comma",
    ),
    (
        "misplaced bracket",
        "this bracket closes nothing",
        "remove it, or open it before",
    ),
    (
        "unclosed bracket",
        "a bracket has no end",
        "close `[` with `]` and `{` with `}`",
    ),
    (
        "expected ':'",
        "there is no `:` after this key",
        "write `key: value`, with a blank after the colon",
    ),
    (
        "merge value must be",
        "`<<` takes maps only",
        "name an anchor of a map: `<<: *name`",
    ),
    (
        "non-finite float",
        "infinity and not-a-number have no place in JSON",
        "put it in quotes if it is a text",
    ),
    (
        "alias replay limit",
        "the aliases of this text repeat too much of it",
        "write less of it with aliases",
    ),
    (
        "udget",
        "the text is too large, or nests too deep",
        "split it into several files",
    ),
    (
        "invalid u64",
        "the value is no number, as its tag says",
        "remove the tag, or write a number",
    ),
    (
        "invalid i64",
        "the value is no number, as its tag says",
        "remove the tag, or write a number",
    ),
];

/// A message of the reader in our words, and what to do. What is not known stays as it is.
pub(super) fn taught(said: &str) -> (String, &'static str) {
    let known = WORDS.iter().find(|(part, ..)| said.contains(part));
    let Some((part, message, hint)) = known else {
        return (said.to_owned(), "");
    };
    let rest = said.split_once(part).map_or("", |(_, rest)| rest);
    let word = rest.split([',', '`', '\'']).next().unwrap_or_default();
    (message.replace("{}", word.trim()), hint)
}
