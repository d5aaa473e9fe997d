//! Reads the variables of a Terraform module: as much of HCL as these need.

use anyhow::{Result, bail};
use serde_json::{Map, Number, Value};

/// A `variable` block.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) type_: Type,
    /// None where the variable must be given.
    pub(super) default: Option<Value>,
}

/// A type constraint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Type {
    #[default]
    Any,
    String,
    Number,
    Bool,
    List(Box<Type>),
    Map(Box<Type>),
    /// Each element has a type of its own.
    Tuple(Vec<Type>),
    /// Name, type, whether it may be left out.
    Object(Vec<(String, Type, bool)>),
}

/// The variables of a text.
pub(super) fn variables(text: &str) -> Result<Vec<Variable>> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        at: 0,
    };
    let mut found = Vec::new();
    while let Some(token) = reader.next() {
        match token {
            Token::Word(word) if word == "variable" => found.push(reader.variable()?),
            // The body of another block, whatever it is.
            Token::Sign('{') => reader.skip('}')?,
            _ => {}
        }
    }
    Ok(found)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(Number),
    Sign(char),
    End,
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '\n' {
            tokens.push(Token::End);
            rest = &rest[1..];
        } else if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else if first == '#' || rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(inner) = rest.strip_prefix("/*") {
            rest = inner.find("*/").map_or("", |end| &inner[end + 2..]);
        } else if first == '"' {
            let (text, after) = quoted(rest)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else if rest.starts_with("<<") {
            let (text, after) = heredoc(rest)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else if first.is_ascii_digit()
            || (first == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            let end = rest[1..]
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                .map_or(rest.len(), |end| end + 1);
            let Ok(number) = rest[..end].parse::<Number>() else {
                bail!("{} is no number", &rest[..end]);
            };
            tokens.push(Token::Number(number));
            rest = &rest[end..];
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
                .unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            tokens.push(Token::Sign(first));
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(tokens)
}

/// The text between quotes; templates in it (`${…}`) stay as they are.
fn quoted(rest: &str) -> Result<(String, &str)> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    let mut depth = 0_usize;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' if depth == 0 => return Ok((text, &rest[at + 1..])),
            '\\' => {
                let Some((_, escaped)) = letters.next() else {
                    break;
                };
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
                continue;
            }
            '{' if text.ends_with(['$', '%']) => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '\n' if depth == 0 => bail!("a text in quotes does not end on its line"),
            _ => {}
        }
        text.push(letter);
    }
    bail!("a text in quotes does not end")
}

fn heredoc(rest: &str) -> Result<(String, &str)> {
    let inner = &rest[2..];
    let is_indented = inner.starts_with('-');
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let Some((mark, mut body)) = inner.split_once('\n') else {
        bail!("a heredoc does not end");
    };
    let mut lines = Vec::new();
    loop {
        let Some((line, after)) = body
            .split_once('\n')
            .or_else(|| (!body.is_empty()).then_some((body, "")))
        else {
            bail!("the heredoc {mark} does not end");
        };
        body = after;
        if line.trim() == mark.trim() {
            break;
        }
        lines.push(line);
    }
    let indent = lines
        .iter()
        .filter(|line| is_indented && !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        text.push_str(line.get(indent..).unwrap_or_default());
        text.push('\n');
    }
    Ok((text, body))
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn skip_lines(&mut self) {
        while self.peek() == Some(&Token::End) {
            self.at += 1;
        }
    }

    /// Goes behind the bracket that closes what was opened.
    fn skip(&mut self, close: char) -> Result<()> {
        while let Some(token) = self.next() {
            match token {
                Token::Sign(sign) if sign == close => return Ok(()),
                Token::Sign('{') => self.skip('}')?,
                Token::Sign('[') => self.skip(']')?,
                Token::Sign('(') => self.skip(')')?,
                _ => {}
            }
        }
        bail!("a {close} is missing at the end")
    }

    /// Goes to the end of an expression.
    fn skip_expression(&mut self) -> Result<()> {
        while let Some(token) = self.peek() {
            match token {
                Token::End | Token::Sign('}') => return Ok(()),
                _ => {}
            }
            match self.next() {
                Some(Token::Sign('{')) => self.skip('}')?,
                Some(Token::Sign('[')) => self.skip(']')?,
                Some(Token::Sign('(')) => self.skip(')')?,
                _ => {}
            }
        }
        Ok(())
    }

    fn variable(&mut self) -> Result<Variable> {
        let Some(Token::Text(name) | Token::Word(name)) = self.next() else {
            bail!("a variable has no name");
        };
        if self.next() != Some(Token::Sign('{')) {
            bail!("variable {name}: expected {{");
        }
        let mut variable = Variable {
            name,
            ..Variable::default()
        };
        loop {
            self.skip_lines();
            match self.next() {
                Some(Token::Sign('}')) => return Ok(variable),
                Some(Token::Sign('{')) => self.skip('}')?,
                Some(Token::Word(word)) if self.peek() == Some(&Token::Sign('=')) => {
                    self.at += 1;
                    self.attribute(&word, &mut variable)?;
                }
                // `validation {…}` and the like.
                Some(_) => {}
                None => bail!("variable {}: a }} is missing at the end", variable.name),
            }
        }
    }

    fn attribute(&mut self, word: &str, variable: &mut Variable) -> Result<()> {
        self.skip_lines();
        match word {
            "type" => variable.type_ = self.type_()?,
            "description" => {
                if let Some(Token::Text(text)) = self.next() {
                    text.trim().clone_into(&mut variable.description);
                }
            }
            "default" => {
                let value = self.value()?;
                let is_whole = matches!(self.peek(), None | Some(Token::End | Token::Sign('}')));
                // What is calculated Terraform knows.
                variable.default = Some(if is_whole { value } else { Value::Null });
            }
            _ => {}
        }
        self.skip_expression()
    }

    fn type_(&mut self) -> Result<Type> {
        self.skip_lines();
        let word = match self.next() {
            // Before Terraform 0.12 types were written in quotes.
            Some(Token::Word(word) | Token::Text(word)) => word,
            other => bail!("expected a type, found {other:?}"),
        };
        let inner = |reader: &mut Self| -> Result<Type> {
            if reader.peek() != Some(&Token::Sign('(')) {
                return Ok(Type::Any);
            }
            reader.at += 1;
            let inner = reader.type_()?;
            reader.skip(')')?;
            Ok(inner)
        };
        Ok(match word.as_str() {
            "string" => Type::String,
            "number" => Type::Number,
            "bool" => Type::Bool,
            "list" | "set" => Type::List(Box::new(inner(self)?)),
            "map" => Type::Map(Box::new(inner(self)?)),
            "object" => self.object()?,
            "tuple" => self.tuple()?,
            "optional" => inner(self)?,
            _ => Type::Any,
        })
    }

    fn tuple(&mut self) -> Result<Type> {
        for sign in ['(', '['] {
            self.skip_lines();
            if self.next() != Some(Token::Sign(sign)) {
                bail!("tuple: expected {sign}");
            }
        }
        let mut elements = Vec::new();
        loop {
            self.skip_lines();
            match self.peek() {
                Some(Token::Sign(']')) => break,
                Some(Token::Sign(',')) => self.at += 1,
                _ => elements.push(self.type_()?),
            }
        }
        self.skip(')')?;
        Ok(Type::Tuple(elements))
    }

    fn object(&mut self) -> Result<Type> {
        for sign in ['(', '{'] {
            self.skip_lines();
            if self.next() != Some(Token::Sign(sign)) {
                bail!("object: expected {sign}");
            }
        }
        let mut fields = Vec::new();
        loop {
            self.skip_lines();
            match self.next() {
                Some(Token::Sign('}')) => break,
                Some(Token::Sign(',')) => {}
                Some(Token::Word(name) | Token::Text(name)) => {
                    if !matches!(self.next(), Some(Token::Sign('=' | ':'))) {
                        bail!("object: expected = after {name}");
                    }
                    let is_optional =
                        matches!(self.peek(), Some(Token::Word(word)) if word == "optional");
                    fields.push((name, self.type_()?, is_optional));
                }
                other => bail!("object: unexpected {other:?}"),
            }
        }
        self.skip_lines();
        if self.next() != Some(Token::Sign(')')) {
            bail!("object: expected )");
        }
        Ok(Type::Object(fields))
    }

    fn value(&mut self) -> Result<Value> {
        self.skip_lines();
        Ok(match self.next() {
            Some(Token::Text(text)) => Value::String(text),
            Some(Token::Number(number)) => Value::Number(number),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                other => bail!("a default must be a value, found {other}"),
            },
            Some(Token::Sign('[')) => {
                let mut list = Vec::new();
                loop {
                    self.skip_lines();
                    match self.peek() {
                        Some(Token::Sign(']')) => {
                            self.at += 1;
                            return Ok(Value::Array(list));
                        }
                        Some(Token::Sign(',')) => self.at += 1,
                        None => bail!("a ] is missing"),
                        Some(_) => list.push(self.value()?),
                    }
                }
            }
            Some(Token::Sign('{')) => self.fields()?,
            other => bail!("a default must be a value, found {other:?}"),
        })
    }

    fn fields(&mut self) -> Result<Value> {
        let mut fields = Map::new();
        loop {
            self.skip_lines();
            match self.next() {
                Some(Token::Sign('}')) => return Ok(Value::Object(fields)),
                Some(Token::Sign(',')) => {}
                Some(Token::Word(name) | Token::Text(name)) => {
                    if !matches!(self.next(), Some(Token::Sign('=' | ':'))) {
                        bail!("expected = after {name}");
                    }
                    fields.insert(name, self.value()?);
                }
                other => bail!("unexpected {other:?} in a default"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_are_read_with_type_default_and_description() {
        let text = r#"
terraform { required_version = ">= 1.0" }
# a comment
variable "name" {
  description = "Name of the \"bucket\""
  type        = string
}
variable "size" { default = 3 }
variable "tags" {
  type    = map(string)
  default = { team = "a", "cost.center" : "b" } // end
  validation {
    condition     = length(var.tags) > 0 ? true : false
    error_message = "no"
  }
}
variable "rules" {
  type = list(object({
    port  = number
    cidrs = optional(list(string), ["0.0.0.0/0"])
  }))
  default     = []
  description = <<-EOT
    Rules of the
    firewall
  EOT
}
output "x" { value = "${var.name}-{}" }
variable "pair" { type = tuple([string, list(number)]) }
variable "hour" {
  type = number
  default = 60 * 60
}
variable "public" {
  type = bool
  default = false
  nullable = false
}
"#;
        let found = variables(text).expect("it can be read");
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names,
            ["name", "size", "tags", "rules", "pair", "hour", "public"]
        );
        assert_eq!(found[0].description, "Name of the \"bucket\"");
        assert_eq!(found[0].default, None);
        assert_eq!(found[1].default, Some(json!(3)));
        assert_eq!(
            found[2].default,
            Some(json!({"team": "a", "cost.center": "b"}))
        );
        assert_eq!(
            found[3].type_,
            Type::List(Box::new(Type::Object(vec![
                ("port".to_owned(), Type::Number, false),
                ("cidrs".to_owned(), Type::List(Box::new(Type::String)), true),
            ])))
        );
        assert_eq!(found[3].description, "Rules of the\nfirewall");
        let numbers = Type::List(Box::new(Type::Number));
        assert_eq!(found[4].type_, Type::Tuple(vec![Type::String, numbers]));
        assert_eq!(found[5].default, Some(Value::Null));
        assert_eq!(found[6].type_, Type::Bool);
    }

    #[test]
    fn what_is_broken_is_said() {
        assert!(variables("variable \"x\" {").is_err());
        assert!(variables("variable \"x\" { default = foo(1) }").is_err());
        assert!(variables("variable \"x\" { description = \"open }\n").is_err());
    }
}
