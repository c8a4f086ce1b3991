//! Number words from 0 to 9999 in six languages.
//!
//! A number word is built from morphemes ("drei", "hundert", "fünf", "und",
//! "zwanzig"), separators included, so that the tokenizer can learn the
//! morphemes of compounds as its units.

use crate::language::Language;

/// The largest number that has words here.
pub const MAX: u32 = 9999;

/// The words for `n` in `language`.
///
/// # Panics
/// If `n` is above [`MAX`].
pub fn words(language: Language, n: u32) -> String {
    morphemes(language, n).concat()
}

/// The morphemes and separators whose concatenation is the words for `n`.
///
/// # Panics
/// If `n` is above [`MAX`].
pub fn morphemes(language: Language, n: u32) -> Vec<&'static str> {
    assert!(n <= MAX, "number words end at {MAX}, got {n}");
    let mut out = Vec::new();
    match language {
        Language::English => english(n, &mut out),
        Language::German => german(n, &mut out),
        Language::French => french(n, &mut out),
        Language::Spanish => spanish(n, &mut out),
        Language::Italian => italian(n, &mut out),
        Language::Portuguese => portuguese(n, &mut out),
    }
    out
}

fn at(table: &[&'static str], i: u32) -> &'static str {
    table[i as usize]
}

const EN_SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const EN_TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

fn english(n: u32, out: &mut Vec<&'static str>) {
    if n < 20 {
        out.push(at(&EN_SMALL, n));
    } else if n < 100 {
        out.push(at(&EN_TENS, n / 10));
        if !n.is_multiple_of(10) {
            out.push("-");
            out.push(at(&EN_SMALL, n % 10));
        }
    } else {
        let (unit, name) = if n < 1000 {
            (100, " hundred")
        } else {
            (1000, " thousand")
        };
        english(n / unit, out);
        out.push(name);
        let rest = n % unit;
        if rest != 0 {
            out.push(if rest < 100 { " and " } else { " " });
            english(rest, out);
        }
    }
}

const DE_SMALL: [&str; 20] = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const DE_TENS: [&str; 10] = [
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];

/// "ein" inside a compound, "eins" at its end.
fn german_inner(digit: u32) -> &'static str {
    if digit == 1 {
        "ein"
    } else {
        at(&DE_SMALL, digit)
    }
}

pub(crate) fn german(n: u32, out: &mut Vec<&'static str>) {
    if n < 20 {
        out.push(at(&DE_SMALL, n));
    } else if n < 100 {
        if !n.is_multiple_of(10) {
            out.push(german_inner(n % 10));
            out.push("und");
        }
        out.push(at(&DE_TENS, n / 10));
    } else {
        let (unit, name) = if n < 1000 {
            (100, "hundert")
        } else {
            (1000, "tausend")
        };
        out.push(german_inner(n / unit));
        out.push(name);
        if !n.is_multiple_of(unit) {
            german(n % unit, out);
        }
    }
}

const FR_SMALL: [&str; 17] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze",
    "douze", "treize", "quatorze", "quinze", "seize",
];
const FR_TENS: [&str; 7] = [
    "",
    "",
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
];

fn french(n: u32, out: &mut Vec<&'static str>) {
    match n {
        0..=16 => out.push(at(&FR_SMALL, n)),
        17..=19 => out.extend(["dix", "-", at(&FR_SMALL, n - 10)]),
        20..=69 => {
            out.push(at(&FR_TENS, n / 10));
            match n % 10 {
                0 => {}
                1 => out.extend([" et ", "un"]),
                d => out.extend(["-", at(&FR_SMALL, d)]),
            }
        }
        71 => out.extend(["soixante", " et ", "onze"]),
        70..=79 => {
            out.extend(["soixante", "-"]);
            french(n - 60, out);
        }
        80 => out.extend(["quatre", "-", "vingts"]),
        81..=99 => {
            out.extend(["quatre", "-", "vingt", "-"]);
            french(n - 80, out);
        }
        100..=999 => {
            let rest = n % 100;
            if n >= 200 {
                out.extend([at(&FR_SMALL, n / 100), " "]);
            }
            // "cents" only when it multiplies and nothing follows.
            out.push(if n >= 200 && rest == 0 {
                "cents"
            } else {
                "cent"
            });
            if rest != 0 {
                out.push(" ");
                french(rest, out);
            }
        }
        _ => {
            if n >= 2000 {
                out.extend([at(&FR_SMALL, n / 1000), " "]);
            }
            out.push("mille");
            if !n.is_multiple_of(1000) {
                out.push(" ");
                french(n % 1000, out);
            }
        }
    }
}

const ES_SMALL: [&str; 30] = [
    "cero",
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
];
const ES_TENS: [&str; 10] = [
    "",
    "",
    "",
    "treinta",
    "cuarenta",
    "cincuenta",
    "sesenta",
    "setenta",
    "ochenta",
    "noventa",
];
const ES_HUNDREDS: [&str; 10] = [
    "",
    "ciento",
    "doscientos",
    "trescientos",
    "cuatrocientos",
    "quinientos",
    "seiscientos",
    "setecientos",
    "ochocientos",
    "novecientos",
];

fn spanish(n: u32, out: &mut Vec<&'static str>) {
    match n {
        0..=29 => out.push(at(&ES_SMALL, n)),
        30..=99 => {
            out.push(at(&ES_TENS, n / 10));
            if !n.is_multiple_of(10) {
                out.extend([" y ", at(&ES_SMALL, n % 10)]);
            }
        }
        100 => out.push("cien"),
        101..=999 => {
            out.push(at(&ES_HUNDREDS, n / 100));
            if !n.is_multiple_of(100) {
                out.push(" ");
                spanish(n % 100, out);
            }
        }
        _ => {
            if n >= 2000 {
                out.extend([at(&ES_SMALL, n / 1000), " "]);
            }
            out.push("mil");
            if !n.is_multiple_of(1000) {
                out.push(" ");
                spanish(n % 1000, out);
            }
        }
    }
}

const IT_SMALL: [&str; 20] = [
    "zero",
    "uno",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "dieci",
    "undici",
    "dodici",
    "tredici",
    "quattordici",
    "quindici",
    "sedici",
    "diciassette",
    "diciotto",
    "diciannove",
];
const IT_TENS: [&str; 10] = [
    "",
    "",
    "venti",
    "trenta",
    "quaranta",
    "cinquanta",
    "sessanta",
    "settanta",
    "ottanta",
    "novanta",
];
/// Tens that lost their vowel before "uno" and "otto": ventuno, trentotto.
const IT_TENS_ELIDED: [&str; 10] = [
    "", "", "vent", "trent", "quarant", "cinquant", "sessant", "settant", "ottant", "novant",
];

/// `inner`: something stands before, so a final "tre" takes its accent.
fn italian_part(n: u32, inner: bool, out: &mut Vec<&'static str>) {
    match n {
        3 if inner => out.push("tré"),
        0..=19 => out.push(at(&IT_SMALL, n)),
        20..=99 => {
            let digit = n % 10;
            if digit == 1 || digit == 8 {
                out.push(at(&IT_TENS_ELIDED, n / 10));
            } else {
                out.push(at(&IT_TENS, n / 10));
            }
            if digit != 0 {
                italian_part(digit, true, out);
            }
        }
        100..=999 => {
            let rest = n % 100;
            if n >= 200 {
                out.push(at(&IT_SMALL, n / 100));
            }
            // centotto, centottanta; but centouno.
            let elided = rest == 8 || rest / 10 == 8;
            out.push(if elided { "cent" } else { "cento" });
            if rest != 0 {
                italian_part(rest, true, out);
            }
        }
        _ => {
            if n >= 2000 {
                out.push(at(&IT_SMALL, n / 1000));
                out.push("mila");
            } else {
                out.push("mille");
            }
            if !n.is_multiple_of(1000) {
                italian_part(n % 1000, true, out);
            }
        }
    }
}

fn italian(n: u32, out: &mut Vec<&'static str>) {
    italian_part(n, false, out);
}

const PT_SMALL: [&str; 20] = [
    "zero",
    "um",
    "dois",
    "três",
    "quatro",
    "cinco",
    "seis",
    "sete",
    "oito",
    "nove",
    "dez",
    "onze",
    "doze",
    "treze",
    "quatorze",
    "quinze",
    "dezesseis",
    "dezessete",
    "dezoito",
    "dezenove",
];
const PT_TENS: [&str; 10] = [
    "",
    "",
    "vinte",
    "trinta",
    "quarenta",
    "cinquenta",
    "sessenta",
    "setenta",
    "oitenta",
    "noventa",
];
const PT_HUNDREDS: [&str; 10] = [
    "",
    "cento",
    "duzentos",
    "trezentos",
    "quatrocentos",
    "quinhentos",
    "seiscentos",
    "setecentos",
    "oitocentos",
    "novecentos",
];

fn portuguese(n: u32, out: &mut Vec<&'static str>) {
    match n {
        0..=19 => out.push(at(&PT_SMALL, n)),
        20..=99 => {
            out.push(at(&PT_TENS, n / 10));
            if !n.is_multiple_of(10) {
                out.extend([" e ", at(&PT_SMALL, n % 10)]);
            }
        }
        100 => out.push("cem"),
        101..=999 => {
            out.push(at(&PT_HUNDREDS, n / 100));
            if !n.is_multiple_of(100) {
                out.push(" e ");
                portuguese(n % 100, out);
            }
        }
        _ => {
            if n >= 2000 {
                out.extend([at(&PT_SMALL, n / 1000), " "]);
            }
            out.push("mil");
            let rest = n % 1000;
            if rest != 0 {
                // "e" before a rest below 100 or of whole hundreds: mil e cinco, mil e duzentos.
                out.push(if rest < 100 || rest.is_multiple_of(100) {
                    " e "
                } else {
                    " "
                });
                portuguese(rest, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn check(language: Language, known: &[(u32, &str)]) {
        for (n, expected) in known {
            assert_eq!(&words(language, *n), expected, "{n} in {language}");
        }
    }

    #[test]
    fn english_says_and_before_tens_and_units() {
        check(
            Language::English,
            &[
                (0, "zero"),
                (17, "seventeen"),
                (42, "forty-two"),
                (100, "one hundred"),
                (342, "three hundred and forty-two"),
                (1000, "one thousand"),
                (1005, "one thousand and five"),
                (1205, "one thousand two hundred and five"),
                (9999, "nine thousand nine hundred and ninety-nine"),
            ],
        );
    }

    #[test]
    fn german_puts_units_before_tens_in_one_word() {
        check(
            Language::German,
            &[
                (1, "eins"),
                (16, "sechzehn"),
                (21, "einundzwanzig"),
                (30, "dreißig"),
                (67, "siebenundsechzig"),
                (101, "einhunderteins"),
                (735, "siebenhundertfünfunddreißig"),
                (1001, "eintausendeins"),
                (4321, "viertausenddreihunderteinundzwanzig"),
            ],
        );
    }

    #[test]
    fn french_counts_by_twenty_and_drops_the_plural_inside() {
        check(
            Language::French,
            &[
                (17, "dix-sept"),
                (21, "vingt et un"),
                (22, "vingt-deux"),
                (70, "soixante-dix"),
                (71, "soixante et onze"),
                (77, "soixante-dix-sept"),
                (80, "quatre-vingts"),
                (81, "quatre-vingt-un"),
                (91, "quatre-vingt-onze"),
                (99, "quatre-vingt-dix-neuf"),
                (100, "cent"),
                (101, "cent un"),
                (200, "deux cents"),
                (201, "deux cent un"),
                (380, "trois cent quatre-vingts"),
                (1000, "mille"),
                (1984, "mille neuf cent quatre-vingt-quatre"),
                (5600, "cinq mille six cents"),
            ],
        );
    }

    #[test]
    fn spanish_has_veintiuno_ciento_and_irregular_hundreds() {
        check(
            Language::Spanish,
            &[
                (16, "dieciséis"),
                (21, "veintiuno"),
                (22, "veintidós"),
                (31, "treinta y uno"),
                (100, "cien"),
                (101, "ciento uno"),
                (555, "quinientos cincuenta y cinco"),
                (700, "setecientos"),
                (999, "novecientos noventa y nueve"),
                (1000, "mil"),
                (1100, "mil cien"),
                (2023, "dos mil veintitrés"),
            ],
        );
    }

    #[test]
    fn italian_elides_vowels_and_accents_a_final_tre() {
        check(
            Language::Italian,
            &[
                (3, "tre"),
                (21, "ventuno"),
                (23, "ventitré"),
                (28, "ventotto"),
                (38, "trentotto"),
                (81, "ottantuno"),
                (101, "centouno"),
                (103, "centotré"),
                (108, "centotto"),
                (180, "centottanta"),
                (188, "centottantotto"),
                (300, "trecento"),
                (1000, "mille"),
                (1984, "millenovecentottantaquattro"),
                (2003, "duemilatré"),
                (3333, "tremilatrecentotrentatré"),
            ],
        );
    }

    #[test]
    fn portuguese_joins_with_e() {
        check(
            Language::Portuguese,
            &[
                (16, "dezesseis"),
                (22, "vinte e dois"),
                (100, "cem"),
                (101, "cento e um"),
                (342, "trezentos e quarenta e dois"),
                (1005, "mil e cinco"),
                (1100, "mil e cem"),
                (1200, "mil e duzentos"),
                (1234, "mil duzentos e trinta e quatro"),
                (2099, "dois mil e noventa e nove"),
                (9876, "nove mil oitocentos e setenta e seis"),
            ],
        );
    }

    #[test]
    fn no_two_numbers_share_their_words() {
        for language in Language::ALL {
            let all: HashSet<String> = (0..=MAX).map(|n| words(language, n)).collect();
            assert_eq!(all.len(), MAX as usize + 1, "{language}");
        }
    }
}
