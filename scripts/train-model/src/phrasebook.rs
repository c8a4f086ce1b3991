//! "Three red apples": a number, an adjective and a noun, with the agreement
//! of gender and number that each language asks for.

use crate::language::Language;
use crate::numbers::words;

/// Phrases count from 1 to this.
pub const MAX_COUNT: u32 = 12;

/// A phrase by meaning: `count` things called `noun` that are `adjective`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phrase {
    /// How many, 1 to [`MAX_COUNT`].
    pub count: u32,
    /// Index into [`ADJECTIVES`].
    pub adjective: usize,
    /// Index into [`NOUNS`].
    pub noun: usize,
}

/// Grammatical gender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// Masculine.
    M,
    /// Feminine.
    F,
    /// Neuter (German only).
    N,
}
use Gender::{F, M, N};

/// Singular, plural and gender of a noun in one language.
pub type Noun = (&'static str, &'static str, Gender);

/// Nouns, a column for each language in the order of [`Language::ALL`].
#[rustfmt::skip] // a table: one noun a line
pub const NOUNS: [[Noun; 6]; 26] = [
    [("apple", "apples", N), ("Apfel", "Äpfel", M), ("pomme", "pommes", F), ("manzana", "manzanas", F), ("mela", "mele", F), ("maçã", "maçãs", F)],
    [("house", "houses", N), ("Haus", "Häuser", N), ("maison", "maisons", F), ("casa", "casas", F), ("casa", "case", F), ("casa", "casas", F)],
    [("book", "books", N), ("Buch", "Bücher", N), ("livre", "livres", M), ("libro", "libros", M), ("libro", "libri", M), ("livro", "livros", M)],
    [("dog", "dogs", N), ("Hund", "Hunde", M), ("chien", "chiens", M), ("perro", "perros", M), ("cane", "cani", M), ("cachorro", "cachorros", M)],
    [("cat", "cats", N), ("Katze", "Katzen", F), ("chat", "chats", M), ("gato", "gatos", M), ("gatto", "gatti", M), ("gato", "gatos", M)],
    [("car", "cars", N), ("Auto", "Autos", N), ("voiture", "voitures", F), ("coche", "coches", M), ("macchina", "macchine", F), ("carro", "carros", M)],
    [("table", "tables", N), ("Tisch", "Tische", M), ("table", "tables", F), ("mesa", "mesas", F), ("tavolo", "tavoli", M), ("mesa", "mesas", F)],
    [("chair", "chairs", N), ("Stuhl", "Stühle", M), ("chaise", "chaises", F), ("silla", "sillas", F), ("sedia", "sedie", F), ("cadeira", "cadeiras", F)],
    [("flower", "flowers", N), ("Blume", "Blumen", F), ("fleur", "fleurs", F), ("flor", "flores", F), ("fiore", "fiori", M), ("flor", "flores", F)],
    [("tree", "trees", N), ("Baum", "Bäume", M), ("arbre", "arbres", M), ("árbol", "árboles", M), ("albero", "alberi", M), ("árvore", "árvores", F)],
    [("bird", "birds", N), ("Vogel", "Vögel", M), ("oiseau", "oiseaux", M), ("pájaro", "pájaros", M), ("uccello", "uccelli", M), ("pássaro", "pássaros", M)],
    [("fish", "fish", N), ("Fisch", "Fische", M), ("poisson", "poissons", M), ("pez", "peces", M), ("pesce", "pesci", M), ("peixe", "peixes", M)],
    [("door", "doors", N), ("Tür", "Türen", F), ("porte", "portes", F), ("puerta", "puertas", F), ("porta", "porte", F), ("porta", "portas", F)],
    [("window", "windows", N), ("Fenster", "Fenster", N), ("fenêtre", "fenêtres", F), ("ventana", "ventanas", F), ("finestra", "finestre", F), ("janela", "janelas", F)],
    [("shirt", "shirts", N), ("Hemd", "Hemden", N), ("chemise", "chemises", F), ("camisa", "camisas", F), ("camicia", "camicie", F), ("camisa", "camisas", F)],
    [("hat", "hats", N), ("Hut", "Hüte", M), ("chapeau", "chapeaux", M), ("sombrero", "sombreros", M), ("cappello", "cappelli", M), ("chapéu", "chapéus", M)],
    [("bottle", "bottles", N), ("Flasche", "Flaschen", F), ("bouteille", "bouteilles", F), ("botella", "botellas", F), ("bottiglia", "bottiglie", F), ("garrafa", "garrafas", F)],
    [("cup", "cups", N), ("Tasse", "Tassen", F), ("tasse", "tasses", F), ("taza", "tazas", F), ("tazza", "tazze", F), ("xícara", "xícaras", F)],
    [("key", "keys", N), ("Schlüssel", "Schlüssel", M), ("clé", "clés", F), ("llave", "llaves", F), ("chiave", "chiavi", F), ("chave", "chaves", F)],
    [("letter", "letters", N), ("Brief", "Briefe", M), ("lettre", "lettres", F), ("carta", "cartas", F), ("lettera", "lettere", F), ("carta", "cartas", F)],
    [("bicycle", "bicycles", N), ("Fahrrad", "Fahrräder", N), ("vélo", "vélos", M), ("bicicleta", "bicicletas", F), ("bicicletta", "biciclette", F), ("bicicleta", "bicicletas", F)],
    [("boat", "boats", N), ("Boot", "Boote", N), ("bateau", "bateaux", M), ("barco", "barcos", M), ("barca", "barche", F), ("barco", "barcos", M)],
    [("lamp", "lamps", N), ("Lampe", "Lampen", F), ("lampe", "lampes", F), ("lámpara", "lámparas", F), ("lampada", "lampade", F), ("lâmpada", "lâmpadas", F)],
    [("horse", "horses", N), ("Pferd", "Pferde", N), ("cheval", "chevaux", M), ("caballo", "caballos", M), ("cavallo", "cavalli", M), ("cavalo", "cavalos", M)],
    [("orange", "oranges", N), ("Orange", "Orangen", F), ("orange", "oranges", F), ("naranja", "naranjas", F), ("arancia", "arance", F), ("laranja", "laranjas", F)],
    [("backpack", "backpacks", N), ("Rucksack", "Rucksäcke", M), ("sac à dos", "sacs à dos", M), ("mochila", "mochilas", F), ("zaino", "zaini", M), ("mochila", "mochilas", F)],
];

/// The forms of an adjective: the English word, the German stem, and for each
/// Romance language masculine and feminine singular, masculine and feminine plural.
pub struct Adjective {
    /// English, the same for every noun.
    pub english: &'static str,
    /// German stem; endings follow from gender and number.
    pub german: &'static str,
    /// French forms.
    pub french: [&'static str; 4],
    /// In French this adjective stands before its noun.
    pub french_first: bool,
    /// Spanish forms.
    pub spanish: [&'static str; 4],
    /// Italian forms.
    pub italian: [&'static str; 4],
    /// Portuguese forms.
    pub portuguese: [&'static str; 4],
}

/// The adjectives of the phrasebook.
#[rustfmt::skip] // a table: one adjective a line
pub const ADJECTIVES: [Adjective; 10] = [
    Adjective { english: "red", german: "rot", french: ["rouge", "rouge", "rouges", "rouges"], french_first: false, spanish: ["rojo", "roja", "rojos", "rojas"], italian: ["rosso", "rossa", "rossi", "rosse"], portuguese: ["vermelho", "vermelha", "vermelhos", "vermelhas"] },
    Adjective { english: "white", german: "weiß", french: ["blanc", "blanche", "blancs", "blanches"], french_first: false, spanish: ["blanco", "blanca", "blancos", "blancas"], italian: ["bianco", "bianca", "bianchi", "bianche"], portuguese: ["branco", "branca", "brancos", "brancas"] },
    Adjective { english: "black", german: "schwarz", french: ["noir", "noire", "noirs", "noires"], french_first: false, spanish: ["negro", "negra", "negros", "negras"], italian: ["nero", "nera", "neri", "nere"], portuguese: ["preto", "preta", "pretos", "pretas"] },
    Adjective { english: "green", german: "grün", french: ["vert", "verte", "verts", "vertes"], french_first: false, spanish: ["verde", "verde", "verdes", "verdes"], italian: ["verde", "verde", "verdi", "verdi"], portuguese: ["verde", "verde", "verdes", "verdes"] },
    Adjective { english: "yellow", german: "gelb", french: ["jaune", "jaune", "jaunes", "jaunes"], french_first: false, spanish: ["amarillo", "amarilla", "amarillos", "amarillas"], italian: ["giallo", "gialla", "gialli", "gialle"], portuguese: ["amarelo", "amarela", "amarelos", "amarelas"] },
    Adjective { english: "blue", german: "blau", french: ["bleu", "bleue", "bleus", "bleues"], french_first: false, spanish: ["azul", "azul", "azules", "azules"], italian: ["blu", "blu", "blu", "blu"], portuguese: ["azul", "azul", "azuis", "azuis"] },
    Adjective { english: "small", german: "klein", french: ["petit", "petite", "petits", "petites"], french_first: true, spanish: ["pequeño", "pequeña", "pequeños", "pequeñas"], italian: ["piccolo", "piccola", "piccoli", "piccole"], portuguese: ["pequeno", "pequena", "pequenos", "pequenas"] },
    Adjective { english: "big", german: "groß", french: ["grand", "grande", "grands", "grandes"], french_first: true, spanish: ["grande", "grande", "grandes", "grandes"], italian: ["grande", "grande", "grandi", "grandi"], portuguese: ["grande", "grande", "grandes", "grandes"] },
    Adjective { english: "heavy", german: "schwer", french: ["lourd", "lourde", "lourds", "lourdes"], french_first: false, spanish: ["pesado", "pesada", "pesados", "pesadas"], italian: ["pesante", "pesante", "pesanti", "pesanti"], portuguese: ["pesado", "pesada", "pesados", "pesadas"] },
    Adjective { english: "clean", german: "sauber", french: ["propre", "propre", "propres", "propres"], french_first: false, spanish: ["limpio", "limpia", "limpios", "limpias"], italian: ["pulito", "pulita", "puliti", "pulite"], portuguese: ["limpo", "limpa", "limpos", "limpas"] },
];

impl Phrase {
    /// The phrase in `language`, in the nominative.
    pub fn text(self, language: Language) -> String {
        let (singular, plural, gender) = NOUNS[self.noun][language as usize];
        let adjective = &ADJECTIVES[self.adjective];
        let one = self.count == 1;
        let noun = if one { singular } else { plural };
        let form = match (one, gender) {
            (true, F) => 1,
            (true, _) => 0,
            (false, F) => 3,
            (false, _) => 2,
        };
        let after =
            |count: &str, forms: &[&'static str; 4]| format!("{count} {noun} {}", forms[form]);
        let count = words(language, self.count);
        match language {
            Language::English => format!("{count} {} {noun}", adjective.english),
            Language::German => {
                let (count, ending) = match (one, gender) {
                    (true, M) => ("ein", "er"),
                    (true, F) => ("eine", "e"),
                    (true, N) => ("ein", "es"),
                    (false, _) => (count.as_str(), "e"),
                };
                format!("{count} {}{ending} {noun}", adjective.german)
            }
            Language::French => {
                let count = if one && gender == F { "une" } else { &count };
                if adjective.french_first {
                    format!("{count} {} {noun}", adjective.french[form])
                } else {
                    after(count, &adjective.french)
                }
            }
            Language::Spanish => {
                let count = match (one, gender) {
                    (true, F) => "una",
                    (true, _) => "un",
                    (false, _) => &count,
                };
                after(count, &adjective.spanish)
            }
            Language::Italian => {
                let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
                if one && gender == F && vowel {
                    return format!("un'{noun} {}", adjective.italian[form]);
                }
                let count = match (one, gender) {
                    (true, F) => "una",
                    (true, _) if noun.starts_with('z') => "uno",
                    (true, _) => "un",
                    (false, _) => &count,
                };
                after(count, &adjective.italian)
            }
            Language::Portuguese => {
                let count = match (self.count, gender) {
                    (1, F) => "uma",
                    (2, F) => "duas",
                    _ => &count,
                };
                after(count, &adjective.portuguese)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(count: u32, adjective: &str, noun: &str) -> Phrase {
        Phrase {
            count,
            adjective: ADJECTIVES
                .iter()
                .position(|a| a.english == adjective)
                .unwrap(),
            noun: NOUNS.iter().position(|n| n[0].0 == noun).unwrap(),
        }
    }

    #[test]
    fn every_language_agrees_in_its_own_way() {
        let cases = [
            (
                phrase(3, "red", "apple"),
                [
                    "three red apples",
                    "drei rote Äpfel",
                    "trois pommes rouges",
                    "tres manzanas rojas",
                    "tre mele rosse",
                    "três maçãs vermelhas",
                ],
            ),
            (
                phrase(1, "white", "house"),
                [
                    "one white house",
                    "ein weißes Haus",
                    "une maison blanche",
                    "una casa blanca",
                    "una casa bianca",
                    "uma casa branca",
                ],
            ),
            (
                phrase(2, "small", "key"),
                [
                    "two small keys",
                    "zwei kleine Schlüssel",
                    "deux petites clés",
                    "dos llaves pequeñas",
                    "due chiavi piccole",
                    "duas chaves pequenas",
                ],
            ),
            (
                phrase(1, "blue", "orange"),
                [
                    "one blue orange",
                    "eine blaue Orange",
                    "une orange bleue",
                    "una naranja azul",
                    "un'arancia blu",
                    "uma laranja azul",
                ],
            ),
            (
                phrase(1, "heavy", "backpack"),
                [
                    "one heavy backpack",
                    "ein schwerer Rucksack",
                    "un sac à dos lourd",
                    "una mochila pesada",
                    "uno zaino pesante",
                    "uma mochila pesada",
                ],
            ),
        ];
        for (phrase, expected) in cases {
            for language in Language::ALL {
                assert_eq!(phrase.text(language), expected[language as usize]);
            }
        }
    }
}
