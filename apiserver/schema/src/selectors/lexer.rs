//! Tokens of label selectors.

/// A token. Words become operators only where one is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    End,
    Comma,
    Open,
    Close,
    Not,
    Equal,
    DoubleEqual,
    NotEqual,
    Greater,
    Less,
    Word(&'a str),
    /// Symbols that mean nothing together.
    Unknown(&'a str),
}

impl<'a> Token<'a> {
    /// How messages show the token.
    pub(super) fn literal(self) -> &'a str {
        match self {
            Self::End => "",
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equal => "=",
            Self::DoubleEqual => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::Word(text) | Self::Unknown(text) => text,
        }
    }
}

const SYMBOLS: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];

/// All tokens of a text; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_symbol = SYMBOLS.contains(&first);
        let end = rest
            .find(|c: char| c.is_whitespace() || SYMBOLS.contains(&c) != is_symbol)
            .unwrap_or(rest.len());
        let (token, length) = if is_symbol {
            symbol(&rest[..end])
        } else {
            (Token::Word(&rest[..end]), end)
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    found.push(Token::End);
    found
}

/// The longest symbol at the start of a run of them.
fn symbol(run: &str) -> (Token<'_>, usize) {
    let known = [
        ("==", Token::DoubleEqual),
        ("!=", Token::NotEqual),
        ("=", Token::Equal),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
        (">", Token::Greater),
        ("<", Token::Less),
    ];
    let found = known.into_iter().find(|(text, _)| run.starts_with(text));
    found.map_or((Token::Unknown(run), run.len()), |(text, token)| {
        (token, text.len())
    })
}
