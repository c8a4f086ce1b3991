//! The six languages of the demonstration model.

use std::fmt;

/// A language that the model is asked in and answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// English (British number words: "three hundred and two").
    English,
    /// German.
    German,
    /// French (of France: "soixante-dix", "quatre-vingt-dix"), spelling before 1990.
    French,
    /// Spanish.
    Spanish,
    /// Italian.
    Italian,
    /// Portuguese (of Brazil).
    Portuguese,
}

impl Language {
    /// Every language, in the order of the tables.
    pub const ALL: [Language; 6] = [
        Language::English,
        Language::German,
        Language::French,
        Language::Spanish,
        Language::Italian,
        Language::Portuguese,
    ];

    /// ISO 639-1 code.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
            Language::French => "fr",
            Language::Spanish => "es",
            Language::Italian => "it",
            Language::Portuguese => "pt",
        }
    }

    /// What speakers of `self` call `other`, as it follows "in", "auf", "en" or "em".
    pub fn name_of(self, other: Language) -> &'static str {
        let row: [&'static str; 6] = match self {
            Language::English => [
                "English",
                "German",
                "French",
                "Spanish",
                "Italian",
                "Portuguese",
            ],
            Language::German => [
                "Englisch",
                "Deutsch",
                "Französisch",
                "Spanisch",
                "Italienisch",
                "Portugiesisch",
            ],
            Language::French => [
                "anglais",
                "allemand",
                "français",
                "espagnol",
                "italien",
                "portugais",
            ],
            Language::Spanish => [
                "inglés",
                "alemán",
                "francés",
                "español",
                "italiano",
                "portugués",
            ],
            Language::Italian => [
                "inglese",
                "tedesco",
                "francese",
                "spagnolo",
                "italiano",
                "portoghese",
            ],
            Language::Portuguese => [
                "inglês",
                "alemão",
                "francês",
                "espanhol",
                "italiano",
                "português",
            ],
        };
        row[other as usize]
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
