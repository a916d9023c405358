//! Text to token ids and back, with the ids that a model wants around a sequence.
//!
//! Text is encoded as it stands; what surrounds it ([`Tokenizer::prefix`], [`Tokenizer::suffix`])
//! is added by whoever makes the sequence, so that positions in text and ids are easy to relate.

mod byte_level;
mod gguf;
mod hf;
mod pre_tokenizer;
mod sentencepiece;
mod wordpiece;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tokenizers::PostProcessorWrapper;

use crate::checkpoint::gguf::Metadata;
use crate::error::{Error, Result};

/// A text in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The ids, without any that surround a sequence.
    pub ids: Vec<u32>,
    /// The bytes of the original text that each id stands for, a space before a word included.
    ///
    /// Of a character that takes several tokens, each of them stands for the whole.
    pub offsets: Vec<(usize, usize)>,
}

/// The tokenizer of a model.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    special: Special,
    n_vocab: usize,
    /// What has to stand before a word inside of a text, when that is encoded alone.
    lead: &'static str,
    /// Its fingerprint, where it has been asked for.
    fingerprint: OnceLock<String>,
}

/// The ids with a role of their own.
#[derive(Clone, Debug, Default)]
struct Special {
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    bos: Option<u32>,
    eos: Vec<u32>,
    mask: Option<u32>,
}

impl Encoding {
    /// The tokens that stand for any of the bytes `bytes` of the text; `None` where no token does.
    #[must_use]
    pub fn span_of(&self, bytes: Range<usize>) -> Option<Range<usize>> {
        let overlaps = |&(start, end): &(usize, usize)| start.max(bytes.start) < end.min(bytes.end);
        let first = self.offsets.iter().position(overlaps)?;
        let last = self.offsets.iter().rposition(overlaps)?;
        Some(first..last + 1)
    }
}

impl Tokenizer {
    /// The tokenizer in the files of the Hugging Face folder at `folder`.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] where `tokenizer.json` is missing, [`Error::Tokenizer`] where it is broken.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        hf::build(folder)
    }

    /// The tokenizer that `metadata`, from the GGUF file at `path`, describes.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] where it is of an unknown kind or broken; [`Error::UnknownPreTokenizer`].
    pub fn from_gguf(path: &Path, metadata: &Metadata) -> Result<Self> {
        gguf::build(path, metadata)
    }

    fn new(path: &Path, inner: tokenizers::Tokenizer, special: Special) -> Result<Self> {
        let mut inner = inner;
        // Surrounding a text is the caller's, trimming its offsets nobody's, and a text that
        // silently lost its end would be measured wrongly.
        inner.with_post_processor(None::<PostProcessorWrapper>);
        inner.with_truncation(None).map_err(Error::tokenizer(path))?;
        inner.with_padding(None);
        let n_vocab = n_vocab(&inner);
        let (path, fingerprint) = (path.to_owned(), OnceLock::new());
        let mut tokenizer = Self { path, inner, special, n_vocab, lead: "", fingerprint };
        tokenizer.lead = tokenizer.find_lead()?;
        Ok(tokenizer)
    }

    /// Whether a word inside of a text differs from one at its start, as it does unless the
    /// tokenizer puts a space before every text or ignores spaces altogether.
    fn find_lead(&self) -> Result<&'static str> {
        let bare = self.encode("a")?.ids;
        let opens_word = |id: &u32| self.token(*id).is_some_and(|t| t.starts_with(['▁', 'Ġ']));
        let spaced = bare.first().is_some_and(opens_word) || bare == self.encode(" a")?.ids;
        Ok(if spaced { "" } else { " " })
    }

    /// What tells it apart from any other: the SHA-256 of all that it does, in hexadecimal.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] where it can't be written down.
    pub fn fingerprint(&self) -> Result<String> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known.clone());
        }
        let text = self.inner.to_string(false).map_err(Error::tokenizer(&self.path))?;
        let fingerprint = format!("{:x}", Sha256::digest(text.as_bytes()));
        Ok(self.fingerprint.get_or_init(|| fingerprint).clone())
    }

    /// The ids of `text`, without any that surround a sequence.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] where the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let encoding = self.inner.encode(text, false).map_err(Error::tokenizer(&self.path))?;
        Ok(Encoding { ids: encoding.get_ids().to_vec(), offsets: encoding.get_offsets().to_vec() })
    }

    /// The ids of `text` as the next words of a longer text: exactly one space is before it,
    /// where the tokenizer knows of spaces, however many `text` starts with.
    ///
    /// They are meant to be appended to the ids of what comes before, never to be encoded again
    /// together with it, as that could merge tokens across the seam.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        match text.trim_start() {
            "" => Ok(Vec::new()),
            text => Ok(self.encode(&format!("{}{text}", self.lead))?.ids),
        }
    }

    /// The ids of `text` as the beginning of a sequence, which what surrounds a sequence goes before: what
    /// a decoder is to continue.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn opening(&self, text: &str) -> Result<Vec<u32>> {
        Ok([self.prefix(), &self.encode(text)?.ids].concat())
    }

    /// The text of `ids`, special tokens included.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] where the tokenizer fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(Error::tokenizer(&self.path))
    }

    /// What the token `id` says, or how the vocabulary writes it where that is nothing or part of a
    /// character.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn shown(&self, id: u32) -> Result<String> {
        let text = self.decode(&[id])?;
        let is_nothing = text.is_empty() || text.contains(char::REPLACEMENT_CHARACTER);
        let written = is_nothing.then(|| self.token(id)).flatten();
        Ok(written.unwrap_or(text))
    }

    /// The token `id` as the vocabulary writes it, such as `Ġthe`, `▁the` or `##ing`.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token that is written as `token` in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The ids before every sequence: of decoders often one, of BERT `[CLS]`.
    pub fn prefix(&self) -> &[u32] {
        &self.special.prefix
    }

    /// The ids after every sequence: of decoders none, of BERT `[SEP]`.
    pub fn suffix(&self) -> &[u32] {
        &self.special.suffix
    }

    /// The id that can mark the beginning of a sequence, whether or not this model wants it.
    pub fn bos(&self) -> Option<u32> {
        self.special.bos
    }

    /// Whether [`Tokenizer::prefix`] starts with [`Tokenizer::bos`].
    pub fn adds_bos(&self) -> bool {
        self.special.bos.is_some() && self.special.prefix.first().copied() == self.special.bos
    }

    /// The ids at which generated text ends.
    pub fn eos(&self) -> &[u32] {
        &self.special.eos
    }

    /// The id that stands for a hidden token.
    pub fn mask(&self) -> Option<u32> {
        self.special.mask
    }

    /// Whether the space before a hidden token belongs to it, as in vocabularies where a space is
    /// a token of its own.
    pub fn mask_takes_space(&self) -> bool {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        self.special.mask.and_then(|id| added.get(&id)).is_some_and(|token| token.lstrip)
    }

    /// One more than the highest id. The model's embedding can have more rows than this.
    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }
}

impl Special {
    fn add_eos(&mut self, id: u32) {
        if !self.eos.contains(&id) {
            self.eos.push(id);
        }
    }
}

fn n_vocab(inner: &tokenizers::Tokenizer) -> usize {
    let added = inner.get_added_vocabulary().get_added_tokens_decoder().keys().max();
    inner.get_vocab_size(false).max(added.map_or(0, |&id| id as usize + 1))
}

#[cfg(test)]
mod tests;
