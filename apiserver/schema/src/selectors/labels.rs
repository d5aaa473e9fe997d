//! Label selectors: `a=b,c in (d,e),!f,g,h!=i,j>3`.

use super::SelectorError;
use super::lexer::{Token, tokens};
use crate::field::Error;
use crate::names;
use std::fmt;

/// One requirement on the labels of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelRequirement {
    /// The label has one of these values.
    In(String, Vec<String>),
    /// The label is absent or has none of these values.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is absent.
    Absent(String),
    /// The label is a greater number.
    Greater(String, i64),
    /// The label is a smaller number.
    Less(String, i64),
}

/// All of some requirements; none selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements, in the order in which they were written.
    pub requirements: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Parses a selector.
    ///
    /// # Errors
    /// What the real server says of it, for a `BadRequest`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser {
            tokens: tokens(text),
            at: 0,
        };
        parser.selector().map_err(SelectorError)
    }

    /// Does it select an object with these labels? `label` gives the value of one.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.holds(label(r.key())))
    }
}

impl LabelRequirement {
    /// The label that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::Absent(key)
            | Self::Greater(key, _)
            | Self::Less(key, _) => key,
        }
    }

    fn holds(&self, value: Option<&str>) -> bool {
        let among = |all: &[String]| value.is_some_and(|v| all.iter().any(|a| a == v));
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(_, all) => among(all),
            Self::NotIn(_, all) => !among(all),
            Self::Exists(_) => value.is_some(),
            Self::Absent(_) => value.is_none(),
            Self::Greater(_, limit) => number().is_some_and(|n| n > *limit),
            Self::Less(_, limit) => number().is_some_and(|n| n < *limit),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match requirement {
                LabelRequirement::In(key, values) if values.len() == 1 => {
                    write!(f, "{key}={}", values.concat())?;
                }
                LabelRequirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                LabelRequirement::NotIn(key, values) if values.len() == 1 => {
                    write!(f, "{key}!={}", values.concat())?;
                }
                LabelRequirement::NotIn(key, values) => {
                    write!(f, "{key} notin ({})", values.join(","))?;
                }
                LabelRequirement::Exists(key) => f.write_str(key)?,
                LabelRequirement::Absent(key) => write!(f, "!{key}")?,
                LabelRequirement::Greater(key, limit) => write!(f, "{key}>{limit}")?,
                LabelRequirement::Less(key, limit) => write!(f, "{key}<{limit}")?,
            }
        }
        Ok(())
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<LabelSelector, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(LabelSelector { requirements }),
                Token::Word(_) | Token::Not => {}
                other => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.literal()
                    ));
                }
            }
            let requirement = self
                .requirement()
                .map_err(|e| format!("unable to parse requirement: {e}"))?;
            requirements.push(requirement);
            match self.next() {
                Token::End => return Ok(LabelSelector { requirements }),
                Token::Comma if !matches!(self.peek(), Token::Word(_) | Token::Not) => {
                    return Err(format!(
                        "found '{}', expected: identifier after ','",
                        self.peek().literal()
                    ));
                }
                Token::Comma => {}
                other => {
                    return Err(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        other.literal()
                    ));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let mut token = self.next();
        let absent = token == Token::Not;
        if absent {
            token = self.next();
        }
        let Token::Word(key) = token else {
            return Err(format!("found '{}', expected: identifier", token.literal()));
        };
        check(names::qualified(key), "<nil>", key)?;
        let key = key.to_owned();
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(if absent {
                LabelRequirement::Absent(key)
            } else {
                LabelRequirement::Exists(key)
            });
        }
        if absent {
            return Ok(LabelRequirement::Absent(key));
        }
        match self.next() {
            Token::Word("in") => Ok(LabelRequirement::In(key, self.values()?)),
            Token::Word("notin") => Ok(LabelRequirement::NotIn(key, self.values()?)),
            Token::Equal | Token::DoubleEqual => Ok(LabelRequirement::In(key, vec![self.value()?])),
            Token::NotEqual => Ok(LabelRequirement::NotIn(key, vec![self.value()?])),
            Token::Greater => Ok(LabelRequirement::Greater(key, self.number()?)),
            Token::Less => Ok(LabelRequirement::Less(key, self.number()?)),
            other => Err(format!(
                "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                other.literal()
            )),
        }
    }

    /// One value, which may be empty.
    fn value(&mut self) -> Result<String, String> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(value) => {
                check(names::label_value(value), "values[0]", value)?;
                Ok(value.to_owned())
            }
            other => Err(format!("found '{}', expected: identifier", other.literal())),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
        value
            .parse()
            .map_err(|_| Error::invalid("values[0]", value, detail).to_string())
    }

    /// Values in parentheses, sorted and each once.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Open {
            return Err(format!("found '{}', expected: '('", open.literal()));
        }
        let mut values: Vec<String> = Vec::new();
        let mut expects_value = true;
        loop {
            match self.next() {
                Token::Word(value) if expects_value => {
                    check(names::label_value(value), "values[0]", value)?;
                    values.push(value.to_owned());
                    expects_value = false;
                }
                Token::Comma => {
                    if expects_value {
                        values.push(String::new());
                    }
                    expects_value = true;
                }
                Token::Close => {
                    if expects_value && !values.is_empty() {
                        values.push(String::new());
                    }
                    break;
                }
                other if expects_value => {
                    return Err(format!(
                        "found '{}', expected: ',', ')' or identifier",
                        other.literal()
                    ));
                }
                other => return Err(format!("found '{}', expected: ',' or ')'", other.literal())),
            }
        }
        if values.is_empty() {
            let detail = "for 'in', 'notin' operators, values set can't be empty";
            return Err(Error::invalid("values", serde_json::json!([]), detail).to_string());
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn check(reasons: Vec<String>, at: &str, value: &str) -> Result<(), String> {
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(at, value, reasons.join("; ")).to_string())
    }
}
