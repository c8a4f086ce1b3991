//! Calendar dates and how they are said aloud.

use crate::language::Language;
use crate::numbers::{self, words};

/// The first year that is asked about.
pub const FIRST_YEAR: u32 = 1900;
/// The last year that is asked about.
pub const LAST_YEAR: u32 = 2099;

/// A date of the Gregorian calendar between [`FIRST_YEAR`] and [`LAST_YEAR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    /// Year.
    pub year: u32,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
}

/// Days of `month` (1 to 12) in `year`.
pub fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

impl Date {
    /// ISO 8601, as in "1984-03-15".
    pub fn iso(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// The date as it is said in `language`.
    pub fn spoken(self, language: Language) -> String {
        let month = month_name(language, self.month);
        let day = self.day;
        let year = year_words(language, self.year);
        match language {
            Language::English => format!("the {} of {month}, {year}", EN_ORDINALS[day as usize]),
            Language::German => format!("der {} {month} {year}", german_ordinal(day)),
            Language::French if day == 1 => format!("le premier {month} {year}"),
            Language::French => format!("le {} {month} {year}", words(language, day)),
            Language::Spanish => format!("el {} de {month} de {year}", words(language, day)),
            Language::Italian => match day {
                1 => format!("il primo {month} {year}"),
                8 | 11 => format!("l'{} {month} {year}", words(language, day)),
                _ => format!("il {} {month} {year}", words(language, day)),
            },
            Language::Portuguese if day == 1 => format!("primeiro de {month} de {year}"),
            Language::Portuguese => format!("{} de {month} de {year}", words(language, day)),
        }
    }
}

/// The name of `month` (1 to 12).
pub fn month_name(language: Language, month: u32) -> &'static str {
    let row: [&'static str; 12] = match language {
        Language::English => [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        Language::German => [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        Language::French => [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        Language::Spanish => [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
        Language::Italian => [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
        Language::Portuguese => [
            "janeiro",
            "fevereiro",
            "março",
            "abril",
            "maio",
            "junho",
            "julho",
            "agosto",
            "setembro",
            "outubro",
            "novembro",
            "dezembro",
        ],
    };
    row[(month - 1) as usize]
}

/// English ordinals of the days of a month; index 0 is unused.
pub const EN_ORDINALS: [&str; 32] = [
    "",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "twenty-first",
    "twenty-second",
    "twenty-third",
    "twenty-fourth",
    "twenty-fifth",
    "twenty-sixth",
    "twenty-seventh",
    "twenty-eighth",
    "twenty-ninth",
    "thirtieth",
    "thirty-first",
];

/// German ordinal of a day, as it stands after "der".
pub fn german_ordinal(day: u32) -> String {
    match day {
        1 => "erste".into(),
        3 => "dritte".into(),
        7 => "siebte".into(),
        8 => "achte".into(),
        2..=19 => format!("{}te", words(Language::German, day)),
        _ => format!("{}ste", words(Language::German, day)),
    }
}

/// How the year is said: English and German have their own way before 2000.
fn year_words(language: Language, year: u32) -> String {
    let (century, rest) = (year / 100, year % 100);
    match language {
        Language::English if (2000..2010).contains(&year) => words(language, year),
        Language::English => {
            let century = words(language, century);
            match rest {
                0 => format!("{century} hundred"),
                1..=9 => format!("{century} oh {}", words(language, rest)),
                _ => format!("{century} {}", words(language, rest)),
            }
        }
        Language::German if year < 2000 => {
            let mut out = vec![];
            numbers::german(century, &mut out);
            out.push("hundert");
            if rest != 0 {
                numbers::german(rest, &mut out);
            }
            out.concat()
        }
        _ => words(language, year),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(language: Language, year: u32, month: u32, day: u32) -> String {
        Date { year, month, day }.spoken(language)
    }

    #[test]
    fn dates_are_said_as_speakers_say_them() {
        use Language::*;
        let known = [
            (
                English,
                1984,
                3,
                15,
                "the fifteenth of March, nineteen eighty-four",
            ),
            (
                English,
                1905,
                1,
                1,
                "the first of January, nineteen oh five",
            ),
            (
                English,
                1900,
                2,
                2,
                "the second of February, nineteen hundred",
            ),
            (
                English,
                2001,
                9,
                11,
                "the eleventh of September, two thousand and one",
            ),
            (
                English,
                2024,
                5,
                31,
                "the thirty-first of May, twenty twenty-four",
            ),
            (
                German,
                1984,
                3,
                15,
                "der fünfzehnte März neunzehnhundertvierundachtzig",
            ),
            (German, 2000, 1, 1, "der erste Januar zweitausend"),
            (
                German,
                2021,
                12,
                21,
                "der einundzwanzigste Dezember zweitausendeinundzwanzig",
            ),
            (
                French,
                1999,
                7,
                1,
                "le premier juillet mille neuf cent quatre-vingt-dix-neuf",
            ),
            (
                French,
                2024,
                8,
                14,
                "le quatorze août deux mille vingt-quatre",
            ),
            (
                Spanish,
                2023,
                4,
                22,
                "el veintidós de abril de dos mil veintitrés",
            ),
            (Italian, 1988, 5, 8, "l'otto maggio millenovecentottantotto"),
            (Italian, 2011, 11, 11, "l'undici novembre duemilaundici"),
            (Italian, 2024, 6, 2, "il due giugno duemilaventiquattro"),
            (
                Portuguese,
                1900,
                3,
                1,
                "primeiro de março de mil e novecentos",
            ),
            (
                Portuguese,
                1974,
                4,
                25,
                "vinte e cinco de abril de mil novecentos e setenta e quatro",
            ),
        ];
        for (language, year, month, day, expected) in known {
            assert_eq!(spoken(language, year, month, day), expected);
        }
    }

    #[test]
    fn iso_dates_are_padded() {
        let date = Date {
            year: 2024,
            month: 3,
            day: 5,
        };
        assert_eq!(date.iso(), "2024-03-05");
    }

    #[test]
    fn february_knows_leap_years() {
        assert_eq!(days_in_month(1900, 2), 28);
        assert_eq!(days_in_month(2000, 2), 29);
        assert_eq!(days_in_month(2023, 2), 28);
        assert_eq!(days_in_month(2024, 2), 29);
        assert_eq!(days_in_month(2024, 11), 30);
        assert_eq!(days_in_month(2024, 12), 31);
    }
}
