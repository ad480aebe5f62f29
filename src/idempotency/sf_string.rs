//! Structured fields (RFC 9651), as far as a key needs them: an item that is a string, with any parameters.

/// The string of `"..";parameters`; the parameters are checked and ignored. The error says what is wrong.
pub(super) fn string_item(field: &str) -> Result<String, &'static str> {
    let mut input = Input(field.as_bytes());
    let text = input.string().ok_or("a quoted key ends with a quote, and escapes only quotes and backslashes")?;
    while !input.0.is_empty() {
        input.parameter().ok_or("what follows a quoted key are parameters, and nothing else")?;
    }
    Ok(text)
}

/// What has not been read yet.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// As many as fit, at least `least`.
    fn run(&mut self, least: usize, fits: impl Fn(u8) -> bool) -> Option<usize> {
        let n = self.0.iter().take_while(|byte| fits(**byte)).count();
        self.0 = &self.0[n..];
        (n >= least).then_some(n)
    }

    /// Section 4.2.5.
    fn string(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut text = String::with_capacity(self.0.len());
        loop {
            text.push(match self.next()? {
                b'"' => return Some(text),
                b'\\' => char::from(self.next().filter(|escaped| matches!(escaped, b'"' | b'\\'))?),
                byte @ 0x20..=0x7e => char::from(byte),
                _ => return None,
            });
        }
    }

    /// Section 4.2.3.2: one of them.
    fn parameter(&mut self) -> Option<()> {
        self.eat(b';')?;
        self.run(0, |byte| byte == b' ')?;
        self.next().filter(|byte| byte.is_ascii_lowercase() || *byte == b'*')?;
        self.run(0, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'*'))?;
        match self.eat(b'=') {
            Some(()) => self.bare_item(),
            None => Some(()),
        }
    }

    /// Section 4.2.3.1.
    fn bare_item(&mut self) -> Option<()> {
        match *self.0.first()? {
            b'"' => self.string().map(drop),
            b'?' => self.next().and_then(|_| self.next()).filter(|value| matches!(value, b'0' | b'1')).map(drop),
            b':' => {
                self.next()?;
                self.run(0, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))?;
                self.eat(b':')
            }
            b'@' => {
                self.next()?;
                self.number(false)
            }
            b'%' => self.display_string(),
            b'-' | b'0'..=b'9' => self.number(true),
            byte if byte.is_ascii_alphabetic() || byte == b'*' => self.run(1, is_token).map(drop),
            _ => None,
        }
    }

    /// Section 4.2.4: 15 digits, or 12 with up to 3 after the point.
    fn number(&mut self, decimal: bool) -> Option<()> {
        let _ = self.eat(b'-');
        let digits = self.run(1, |byte| byte.is_ascii_digit())?;
        if !decimal || self.eat(b'.').is_none() {
            return (digits <= 15).then_some(());
        }
        let fraction = self.run(1, |byte| byte.is_ascii_digit())?;
        (digits <= 12 && fraction <= 3).then_some(())
    }

    /// Section 4.2.10.
    fn display_string(&mut self) -> Option<()> {
        self.eat(b'%')?;
        self.eat(b'"')?;
        let mut bytes = Vec::new();
        loop {
            bytes.push(match self.next()? {
                b'"' => return std::str::from_utf8(&bytes).ok().map(drop),
                b'%' => self.hex()? << 4 | self.hex()?,
                byte @ 0x20..=0x7e => byte,
                _ => return None,
            });
        }
    }

    fn hex(&mut self) -> Option<u8> {
        match self.next()? {
            digit @ b'0'..=b'9' => Some(digit - b'0'),
            letter @ b'a'..=b'f' => Some(letter - b'a' + 10),
            _ => None,
        }
    }
}

/// A character of a token (section 3.3.4): those of RFC 9110, colon and slash.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
}
