//! How each task is asked in each language.
//!
//! `{}` stands for the number, sum, date or phrase; `{L}` for the language
//! asked for. Phrasings of sums never join the operands by "and": in French,
//! Spanish and Portuguese number words contain it. No two languages share a
//! phrasing: the question has to show which language the answer is wanted in.

use crate::language::Language;
use crate::task::Task;

/// The phrasings of `task` in `language`.
pub fn phrasings(task: Task, language: Language) -> &'static [&'static str] {
    use Language::*;
    match (task, language) {
        (Task::NumberToWords, English) => &[
            "How do you write {} in words?",
            "Write {} in words.",
            "What is {} in words?",
            "Spell out the number {}.",
        ],
        (Task::NumberToWords, German) => &[
            "Wie schreibt man {} in Worten?",
            "Schreibe {} in Worten.",
            "Was ist {} in Worten?",
            "Schreibe die Zahl {} aus.",
        ],
        (Task::NumberToWords, French) => &[
            "Comment écrit-on {} en lettres ?",
            "Écris {} en lettres.",
            "Écris le nombre {} en toutes lettres.",
            "Comment dit-on le nombre {} ?",
        ],
        (Task::NumberToWords, Spanish) => &[
            "¿Cómo se escribe {} en letras?",
            "Escribe {} en letras.",
            "Escribe el número {} con palabras.",
            "¿Cómo se dice el número {}?",
        ],
        (Task::NumberToWords, Italian) => &[
            "Come si scrive {} in lettere?",
            "Scrivi {} in lettere.",
            "Scrivi il numero {} a parole.",
            "Come si dice il numero {}?",
        ],
        (Task::NumberToWords, Portuguese) => &[
            "Como se escreve {} por extenso?",
            "Escreva {} por extenso.",
            "Escreva o número {} em palavras.",
            "Como se diz o número {}?",
        ],
        (Task::WordsToNumber, English) => &[
            "Which number is {}?",
            "Write {} in digits.",
            "Write the number {} in digits.",
            "How do you write {} in digits?",
        ],
        (Task::WordsToNumber, German) => &[
            "Welche Zahl ist {}?",
            "Schreibe {} in Ziffern.",
            "Schreibe die Zahl {} in Ziffern.",
            "Wie schreibt man {} in Ziffern?",
        ],
        (Task::WordsToNumber, French) => &[
            "Quel nombre est {} ?",
            "Écris {} en chiffres.",
            "Écris le nombre {} en chiffres.",
            "Comment écrit-on {} en chiffres ?",
        ],
        (Task::WordsToNumber, Spanish) => &[
            "¿Qué número es {}?",
            "Escribe {} en cifras.",
            "Escribe el número {} en cifras.",
            "¿Cómo se escribe {} en cifras?",
        ],
        (Task::WordsToNumber, Italian) => &[
            "Che numero è {}?",
            "Scrivi {} in cifre.",
            "Scrivi il numero {} in cifre.",
            "Come si scrive {} in cifre?",
        ],
        (Task::WordsToNumber, Portuguese) => &[
            "Que número é {}?",
            "Escreva {} em algarismos.",
            "Escreva o número {} em algarismos.",
            "Como se escreve {} em algarismos?",
        ],
        (Task::Sum, English) => &[
            "What is {}?",
            "How much is {}?",
            "Calculate {}.",
            "What is the sum of {}?",
        ],
        (Task::Sum, German) => &[
            "Was ist {}?",
            "Wie viel ist {}?",
            "Berechne {}.",
            "Was ergibt {}?",
        ],
        (Task::Sum, French) => &[
            "Combien font {} ?",
            "Combien fait {} ?",
            "Calcule {}.",
            "Que donne {} ?",
        ],
        (Task::Sum, Spanish) => &[
            "¿Cuánto es {}?",
            "¿Cuánto son {}?",
            "Calcula {}.",
            "¿Cuál es el resultado de {}?",
        ],
        (Task::Sum, Italian) => &[
            "Quanto fa {}?",
            "Quanto è {}?",
            "Calcola {}.",
            "Qual è il risultato di {}?",
        ],
        (Task::Sum, Portuguese) => &[
            "Quanto é {}?",
            "Quanto dá {}?",
            "Calcule quanto é {}.",
            "Qual é o resultado de {}?",
        ],
        (Task::Date, English) => &[
            "How do you say the date {}?",
            "Say the date {} in words.",
            "Write the date {} in words.",
            "What date is {}?",
        ],
        (Task::Date, German) => &[
            "Wie spricht man das Datum {}?",
            "Sage das Datum {} in Worten.",
            "Schreibe das Datum {} in Worten.",
            "Welches Datum ist der {}?",
        ],
        (Task::Date, French) => &[
            "Comment dit-on la date {} ?",
            "Dis la date {} en lettres.",
            "Écris la date {} en lettres.",
            "Quelle date est le {} ?",
        ],
        (Task::Date, Spanish) => &[
            "¿Cómo se dice la fecha {}?",
            "Di la fecha {} con palabras.",
            "Escribe la fecha {} en letras.",
            "¿Qué fecha es {}?",
        ],
        (Task::Date, Italian) => &[
            "Come si dice la data {}?",
            "Di' la data {} a parole.",
            "Scrivi la data {} in lettere.",
            "Che data è {}?",
        ],
        (Task::Date, Portuguese) => &[
            "Como se diz a data {}?",
            "Diga a data {} em palavras.",
            "Escreva a data {} por extenso.",
            "Que data é {}?",
        ],
        (Task::Phrasebook, English) => &[
            "How do you say '{}' in {L}?",
            "What is '{}' in {L}?",
            "Say '{}' in {L}.",
            "Translate '{}' into {L}.",
        ],
        (Task::Phrasebook, German) => &[
            "Wie sagt man '{}' auf {L}?",
            "Was heißt '{}' auf {L}?",
            "Sage '{}' auf {L}.",
            "Was ist '{}' auf {L}?",
        ],
        (Task::Phrasebook, French) => &[
            "Comment dit-on '{}' en {L} ?",
            "Que veut dire '{}' en {L} ?",
            "Dis '{}' en {L}.",
            "Traduis '{}' en {L}.",
        ],
        (Task::Phrasebook, Spanish) => &[
            "¿Cómo se dice '{}' en {L}?",
            "¿Qué es '{}' en {L}?",
            "Di '{}' en {L}.",
            "Traduce '{}' en {L}.",
        ],
        (Task::Phrasebook, Italian) => &[
            "Come si dice '{}' in {L}?",
            "Che cosa è '{}' in {L}?",
            "Di' '{}' in {L}.",
            "Traduci '{}' in {L}.",
        ],
        (Task::Phrasebook, Portuguese) => &[
            "Como se diz '{}' em {L}?",
            "O que é '{}' em {L}?",
            "Diga '{}' em {L}.",
            "Traduza '{}' em {L}.",
        ],
    }
}

/// The word between two operands.
pub fn plus(language: Language) -> &'static str {
    match language {
        Language::English | Language::German | Language::French => "plus",
        Language::Spanish => "más",
        Language::Italian => "più",
        Language::Portuguese => "mais",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_phrasing_belongs_to_one_task_in_one_language() {
        let mut owners = HashMap::new();
        for task in Task::ALL {
            for language in Language::ALL {
                for phrasing in phrasings(task, language) {
                    let bare = phrasing.to_lowercase();
                    let bare = bare.trim_end_matches(['?', '.']).trim_end().to_owned();
                    let before = owners.insert(bare, (task, language));
                    assert_eq!(before, None, "{phrasing:?} of {task}, {language}");
                }
            }
        }
    }
}
