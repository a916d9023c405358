//! Well-known names by kind, with what everybody knows of them; a small list, not a data set.

use super::mention::bare;

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Athlete,
    Book,
    City,
    Company,
    Country,
    Element,
    Film,
    Landmark,
    Musician,
    Person,
    Product,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    Birthplace,
    Capital,
    City,
    Continent,
    Country,
    Creator,
    Currency,
    Founder,
    Instrument,
    Language,
    Maker,
    Occupation,
    Sport,
    Symbol,
}

/// Names of one kind.
pub(super) struct Table {
    pub(super) kind: Kind,
    /// Whether a sentence puts "the" before these names.
    pub(super) article: bool,
    /// What the columns hold, the name itself left out.
    columns: &'static [Property],
    /// A name, and its properties; one that is empty is unknown or disputed.
    rows: &'static [&'static [&'static str]],
}

impl Table {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().filter_map(|row| row.first().copied())
    }

    pub(super) fn get(&self, name: &str, property: Property) -> Option<&'static str> {
        let column = 1 + self.columns.iter().position(|&column| column == property)?;
        let row =
            self.rows.iter().find(|row| row.first().is_some_and(|first| same(first, name)))?;
        row.get(column).copied().filter(|value| !value.is_empty())
    }

    fn holds(&self, name: &str) -> bool {
        let others = OTHERS.iter().filter(|(kind, _)| *kind == self.kind);
        self.names().chain(others.map(|(_, other)| *other)).any(|known| same(known, name))
    }
}

/// The names of a kind.
pub(super) fn table(kind: Kind) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.kind == kind)
}

/// The kind of a name, if it is a known one.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    TABLES.iter().find(|table| table.holds(name)).map(|table| table.kind)
}

fn same(a: &str, b: &str) -> bool {
    bare(a) == bare(b)
}

/// Names that are recognized, and never offered as other subjects: they need an article, or have a second name.
const OTHERS: &[(Kind, &str)] = &[
    (Kind::Country, "United States"),
    (Kind::Country, "United States of America"),
    (Kind::Country, "USA"),
    (Kind::Country, "United Kingdom"),
    (Kind::Country, "UK"),
    (Kind::Country, "Great Britain"),
    (Kind::Country, "England"),
    (Kind::Country, "Scotland"),
    (Kind::Country, "Netherlands"),
    (Kind::Country, "Philippines"),
    (Kind::Country, "Czech Republic"),
    (Kind::Country, "Belgium"),
    (Kind::Country, "Switzerland"),
    (Kind::Country, "Israel"),
    (Kind::Country, "South Africa"),
    (Kind::City, "London"),
    (Kind::City, "New York"),
    (Kind::City, "New York City"),
    (Kind::City, "Los Angeles"),
    (Kind::City, "Chicago"),
    (Kind::City, "San Francisco"),
    (Kind::City, "Washington"),
];

use Property as P;

/// Every table; where a name is in two, the first counts.
pub(super) const TABLES: &[Table] = &[
    Table {
        kind: Kind::Country,
        article: false,
        columns: &[P::Capital, P::Language, P::Continent, P::Currency],
        rows: &[
            &["France", "Paris", "French", "Europe", "euro"],
            &["Germany", "Berlin", "German", "Europe", "euro"],
            &["Italy", "Rome", "Italian", "Europe", "euro"],
            &["Spain", "Madrid", "Spanish", "Europe", "euro"],
            &["Portugal", "Lisbon", "Portuguese", "Europe", "euro"],
            &["Austria", "Vienna", "German", "Europe", "euro"],
            &["Greece", "Athens", "Greek", "Europe", "euro"],
            &["Poland", "Warsaw", "Polish", "Europe", ""],
            &["Hungary", "Budapest", "Hungarian", "Europe", "forint"],
            &["Romania", "Bucharest", "Romanian", "Europe", "leu"],
            &["Bulgaria", "Sofia", "Bulgarian", "Europe", ""],
            &["Croatia", "Zagreb", "Croatian", "Europe", "euro"],
            &["Sweden", "Stockholm", "Swedish", "Europe", "krona"],
            &["Norway", "Oslo", "Norwegian", "Europe", "krone"],
            &["Denmark", "Copenhagen", "Danish", "Europe", "krone"],
            &["Finland", "Helsinki", "Finnish", "Europe", "euro"],
            &["Iceland", "Reykjavik", "Icelandic", "Europe", ""],
            &["Russia", "Moscow", "Russian", "", "ruble"],
            &["Ukraine", "Kyiv", "Ukrainian", "Europe", "hryvnia"],
            &["Turkey", "Ankara", "Turkish", "", "lira"],
            &["Japan", "Tokyo", "Japanese", "Asia", "yen"],
            &["China", "Beijing", "Chinese", "Asia", "yuan"],
            &["India", "New Delhi", "Hindi", "Asia", "rupee"],
            &["Thailand", "Bangkok", "Thai", "Asia", "baht"],
            &["Vietnam", "Hanoi", "Vietnamese", "Asia", "dong"],
            &["South Korea", "Seoul", "Korean", "Asia", "won"],
            &["Indonesia", "Jakarta", "Indonesian", "Asia", "rupiah"],
            &["Iran", "Tehran", "Persian", "Asia", "rial"],
            &["Pakistan", "Islamabad", "Urdu", "Asia", "rupee"],
            &["Egypt", "Cairo", "Arabic", "Africa", "pound"],
            &["Kenya", "Nairobi", "Swahili", "Africa", "shilling"],
            &["Nigeria", "Abuja", "English", "Africa", "naira"],
            &["Morocco", "Rabat", "Arabic", "Africa", "dirham"],
            &["Ethiopia", "Addis Ababa", "Amharic", "Africa", "birr"],
            &["Ghana", "Accra", "English", "Africa", "cedi"],
            &["Mexico", "Mexico City", "Spanish", "North America", "peso"],
            &["Canada", "Ottawa", "", "North America", "dollar"],
            &["Cuba", "Havana", "Spanish", "North America", "peso"],
            &["Brazil", "Brasília", "Portuguese", "South America", "real"],
            &["Argentina", "Buenos Aires", "Spanish", "South America", "peso"],
            &["Chile", "Santiago", "Spanish", "South America", "peso"],
            &["Peru", "Lima", "Spanish", "South America", "sol"],
            &["Colombia", "Bogotá", "Spanish", "South America", "peso"],
            &["Australia", "Canberra", "English", "", "dollar"],
            &["New Zealand", "Wellington", "English", "", "dollar"],
        ],
    },
    Table {
        kind: Kind::City,
        article: false,
        columns: &[P::Country, P::Continent],
        rows: &[
            &["Paris", "France", "Europe"],
            &["Lyon", "France", "Europe"],
            &["Marseille", "France", "Europe"],
            &["Berlin", "Germany", "Europe"],
            &["Munich", "Germany", "Europe"],
            &["Hamburg", "Germany", "Europe"],
            &["Rome", "Italy", "Europe"],
            &["Milan", "Italy", "Europe"],
            &["Naples", "Italy", "Europe"],
            &["Madrid", "Spain", "Europe"],
            &["Barcelona", "Spain", "Europe"],
            &["Seville", "Spain", "Europe"],
            &["Lisbon", "Portugal", "Europe"],
            &["Vienna", "Austria", "Europe"],
            &["Salzburg", "Austria", "Europe"],
            &["Athens", "Greece", "Europe"],
            &["Warsaw", "Poland", "Europe"],
            &["Budapest", "Hungary", "Europe"],
            &["Bucharest", "Romania", "Europe"],
            &["Stockholm", "Sweden", "Europe"],
            &["Oslo", "Norway", "Europe"],
            &["Copenhagen", "Denmark", "Europe"],
            &["Helsinki", "Finland", "Europe"],
            &["Moscow", "Russia", "Europe"],
            &["Istanbul", "Turkey", ""],
            &["Tokyo", "Japan", "Asia"],
            &["Osaka", "Japan", "Asia"],
            &["Kyoto", "Japan", "Asia"],
            &["Beijing", "China", "Asia"],
            &["Shanghai", "China", "Asia"],
            &["Mumbai", "India", "Asia"],
            &["Bangkok", "Thailand", "Asia"],
            &["Hanoi", "Vietnam", "Asia"],
            &["Seoul", "South Korea", "Asia"],
            &["Cairo", "Egypt", "Africa"],
            &["Nairobi", "Kenya", "Africa"],
            &["Lagos", "Nigeria", "Africa"],
            &["Casablanca", "Morocco", "Africa"],
            &["Toronto", "Canada", "North America"],
            &["Vancouver", "Canada", "North America"],
            &["Havana", "Cuba", "North America"],
            &["Buenos Aires", "Argentina", "South America"],
            &["Lima", "Peru", "South America"],
            &["Sydney", "Australia", ""],
            &["Melbourne", "Australia", ""],
        ],
    },
    Table {
        kind: Kind::Person,
        article: false,
        columns: &[P::Birthplace, P::Country, P::Occupation, P::Language],
        rows: &[
            &["Albert Einstein", "Ulm", "", "physicist", "German"],
            &["Isaac Newton", "", "England", "physicist", "English"],
            &["Marie Curie", "Warsaw", "", "physicist", "Polish"],
            &["Charles Darwin", "Shrewsbury", "England", "naturalist", "English"],
            &["Galileo Galilei", "Pisa", "Italy", "astronomer", "Italian"],
            &["Wolfgang Amadeus Mozart", "Salzburg", "Austria", "composer", "German"],
            &["Johann Sebastian Bach", "Eisenach", "Germany", "composer", "German"],
            &["Ludwig van Beethoven", "Bonn", "Germany", "composer", "German"],
            &["Giuseppe Verdi", "", "Italy", "composer", "Italian"],
            &["Leonardo da Vinci", "", "Italy", "painter", "Italian"],
            &["Pablo Picasso", "Málaga", "Spain", "painter", "Spanish"],
            &["Claude Monet", "Paris", "France", "painter", "French"],
            &["Vincent van Gogh", "Zundert", "", "painter", "Dutch"],
            &["William Shakespeare", "", "England", "playwright", "English"],
            &["Charles Dickens", "Portsmouth", "England", "novelist", "English"],
            &["Jane Austen", "Steventon", "England", "novelist", "English"],
            &["Victor Hugo", "Besançon", "France", "novelist", "French"],
            &["Leo Tolstoy", "", "Russia", "novelist", "Russian"],
            &["Johann Wolfgang von Goethe", "Frankfurt", "Germany", "poet", "German"],
            &["Miguel de Cervantes", "", "Spain", "novelist", "Spanish"],
            &["Immanuel Kant", "Königsberg", "", "philosopher", "German"],
            &["René Descartes", "", "France", "philosopher", "French"],
            &["Voltaire", "Paris", "France", "philosopher", "French"],
            &["Friedrich Nietzsche", "", "Germany", "philosopher", "German"],
            &["Louis Pasteur", "Dole", "France", "chemist", "French"],
            &["Napoleon Bonaparte", "Ajaccio", "France", "", ""],
            &["Winston Churchill", "", "", "politician", "English"],
            &["Angela Merkel", "Hamburg", "Germany", "politician", "German"],
            &["Nelson Mandela", "", "South Africa", "politician", "Xhosa"],
            &["Mahatma Gandhi", "Porbandar", "India", "lawyer", "Gujarati"],
            &["Charlie Chaplin", "London", "England", "actor", "English"],
            &["Barack Obama", "Honolulu", "", "politician", "English"],
            &["Bill Gates", "Seattle", "", "", "English"],
            &["Steve Jobs", "San Francisco", "", "", "English"],
        ],
    },
    Table {
        kind: Kind::Musician,
        article: false,
        columns: &[P::Instrument],
        rows: &[
            &["Jimi Hendrix", "guitar"],
            &["Eric Clapton", "guitar"],
            &["Carlos Santana", "guitar"],
            &["Miles Davis", "trumpet"],
            &["Louis Armstrong", "trumpet"],
            &["Dizzy Gillespie", "trumpet"],
            &["John Coltrane", "saxophone"],
            &["Charlie Parker", "saxophone"],
            &["Yo-Yo Ma", "cello"],
            &["Pablo Casals", "cello"],
            &["Glenn Gould", "piano"],
            &["Thelonious Monk", "piano"],
            &["Frédéric Chopin", "piano"],
            &["Ringo Starr", "drums"],
            &["Itzhak Perlman", "violin"],
            &["Niccolò Paganini", "violin"],
        ],
    },
    Table {
        kind: Kind::Athlete,
        article: false,
        columns: &[P::Sport],
        rows: &[
            &["Michael Jordan", "basketball"],
            &["LeBron James", "basketball"],
            &["Kobe Bryant", "basketball"],
            &["Lionel Messi", "soccer"],
            &["Cristiano Ronaldo", "soccer"],
            &["Diego Maradona", "soccer"],
            &["Roger Federer", "tennis"],
            &["Rafael Nadal", "tennis"],
            &["Serena Williams", "tennis"],
            &["Tiger Woods", "golf"],
            &["Jack Nicklaus", "golf"],
            &["Babe Ruth", "baseball"],
            &["Tom Brady", "football"],
            &["Wayne Gretzky", "hockey"],
            &["Sachin Tendulkar", "cricket"],
            &["Garry Kasparov", "chess"],
        ],
    },
    Table {
        kind: Kind::Company,
        article: false,
        columns: &[P::Founder, P::City, P::Country],
        rows: &[
            &["Microsoft", "Bill Gates", "Redmond", "the United States"],
            &["Apple", "Steve Jobs", "Cupertino", "the United States"],
            &["Amazon", "Jeff Bezos", "Seattle", "the United States"],
            &["Facebook", "Mark Zuckerberg", "Menlo Park", "the United States"],
            &["Google", "Larry Page", "Mountain View", "the United States"],
            &["Ford", "Henry Ford", "Dearborn", "the United States"],
            &["Dell", "Michael Dell", "Round Rock", "the United States"],
            &["Walmart", "Sam Walton", "Bentonville", "the United States"],
            &["Nike", "Phil Knight", "Beaverton", "the United States"],
            &["Intel", "Robert Noyce", "Santa Clara", "the United States"],
            &["Starbucks", "", "Seattle", "the United States"],
            &["Adobe", "John Warnock", "San Jose", "the United States"],
            &["Toyota", "Kiichiro Toyoda", "", "Japan"],
            &["Honda", "Soichiro Honda", "Tokyo", "Japan"],
            &["Sony", "Akio Morita", "Tokyo", "Japan"],
            &["Nintendo", "Fusajiro Yamauchi", "Kyoto", "Japan"],
            &["Samsung", "Lee Byung-chul", "", "South Korea"],
            &["BMW", "", "Munich", "Germany"],
            &["Siemens", "Werner von Siemens", "Munich", "Germany"],
            &["Volkswagen", "", "Wolfsburg", "Germany"],
            &["Adidas", "Adolf Dassler", "Herzogenaurach", "Germany"],
            &["Puma", "Rudolf Dassler", "Herzogenaurach", "Germany"],
            &["Renault", "Louis Renault", "", "France"],
            &["Ferrari", "Enzo Ferrari", "Maranello", "Italy"],
            &["Fiat", "Giovanni Agnelli", "Turin", "Italy"],
            &["Nokia", "Fredrik Idestam", "Espoo", "Finland"],
            &["Nestlé", "Henri Nestlé", "Vevey", "Switzerland"],
            &["Lego", "Ole Kirk Christiansen", "Billund", "Denmark"],
            &["IKEA", "Ingvar Kamprad", "", ""],
        ],
    },
    Table {
        kind: Kind::Product,
        article: false,
        columns: &[P::Maker],
        rows: &[
            &["iPhone", "Apple"],
            &["iPad", "Apple"],
            &["iPod", "Apple"],
            &["Windows 95", "Microsoft"],
            &["Microsoft Excel", "Microsoft"],
            &["Xbox 360", "Microsoft"],
            &["PlayStation 2", "Sony"],
            &["Walkman", "Sony"],
            &["Gmail", "Google"],
            &["Google Chrome", "Google"],
            &["Android", "Google"],
            &["Adobe Photoshop", "Adobe"],
            &["Kindle", "Amazon"],
            &["Game Boy", "Nintendo"],
            &["Wii", "Nintendo"],
            &["Toyota Corolla", "Toyota"],
            &["Toyota Prius", "Toyota"],
            &["Honda Civic", "Honda"],
            &["Honda Accord", "Honda"],
            &["Ford Mustang", "Ford"],
            &["Ford Model T", "Ford"],
            &["Volkswagen Golf", "Volkswagen"],
            &["Airbus A380", "Airbus"],
            &["Boeing 747", "Boeing"],
        ],
    },
    Table {
        kind: Kind::Book,
        article: false,
        columns: &[P::Creator, P::Language],
        rows: &[
            &["Hamlet", "William Shakespeare", "English"],
            &["Macbeth", "William Shakespeare", "English"],
            &["War and Peace", "Leo Tolstoy", "Russian"],
            &["Anna Karenina", "Leo Tolstoy", "Russian"],
            &["Crime and Punishment", "Fyodor Dostoevsky", "Russian"],
            &["Pride and Prejudice", "Jane Austen", "English"],
            &["Oliver Twist", "Charles Dickens", "English"],
            &["Great Expectations", "Charles Dickens", "English"],
            &["Don Quixote", "Miguel de Cervantes", "Spanish"],
            &["Faust", "Johann Wolfgang von Goethe", "German"],
            &["Les Misérables", "Victor Hugo", "French"],
            &["Madame Bovary", "Gustave Flaubert", "French"],
            &["Candide", "Voltaire", "French"],
            &["Moby-Dick", "Herman Melville", "English"],
            &["Frankenstein", "Mary Shelley", "English"],
            &["Dracula", "Bram Stoker", "English"],
            &["Robinson Crusoe", "Daniel Defoe", "English"],
            &["Treasure Island", "Robert Louis Stevenson", "English"],
            &["The Hobbit", "J. R. R. Tolkien", "English"],
            &["Animal Farm", "George Orwell", "English"],
            &["Brave New World", "Aldous Huxley", "English"],
            &["Ulysses", "James Joyce", "English"],
        ],
    },
    Table {
        kind: Kind::Film,
        article: false,
        columns: &[P::Creator],
        rows: &[
            &["Titanic", "James Cameron"],
            &["Avatar", "James Cameron"],
            &["Jaws", "Steven Spielberg"],
            &["Jurassic Park", "Steven Spielberg"],
            &["Psycho", "Alfred Hitchcock"],
            &["Vertigo", "Alfred Hitchcock"],
            &["Pulp Fiction", "Quentin Tarantino"],
            &["The Godfather", "Francis Ford Coppola"],
            &["Inception", "Christopher Nolan"],
            &["Goodfellas", "Martin Scorsese"],
            &["Taxi Driver", "Martin Scorsese"],
            &["Blade Runner", "Ridley Scott"],
            &["Gladiator", "Ridley Scott"],
            &["Star Wars", "George Lucas"],
        ],
    },
    Table {
        kind: Kind::Landmark,
        article: true,
        columns: &[P::City, P::Country],
        rows: &[
            &["Eiffel Tower", "Paris", "France"],
            &["Louvre", "Paris", "France"],
            &["Brandenburg Gate", "Berlin", "Germany"],
            &["Colosseum", "Rome", "Italy"],
            &["Pantheon", "Rome", "Italy"],
            &["Leaning Tower", "Pisa", "Italy"],
            &["Uffizi Gallery", "Florence", "Italy"],
            &["Prado Museum", "Madrid", "Spain"],
            &["Sagrada Família", "Barcelona", "Spain"],
            &["Alhambra", "Granada", "Spain"],
            &["Parthenon", "Athens", "Greece"],
            &["Charles Bridge", "Prague", "the Czech Republic"],
            &["Kremlin", "Moscow", "Russia"],
            &["Hermitage Museum", "Saint Petersburg", "Russia"],
            &["Blue Mosque", "Istanbul", "Turkey"],
            &["Forbidden City", "Beijing", "China"],
            &["Taj Mahal", "Agra", "India"],
            &["Burj Khalifa", "Dubai", "the United Arab Emirates"],
            &["Tower Bridge", "London", "England"],
            &["British Museum", "London", "England"],
            &["Empire State Building", "New York", "the United States"],
            &["Space Needle", "Seattle", "the United States"],
            &["Golden Gate Bridge", "San Francisco", "the United States"],
            &["White House", "Washington", "the United States"],
            &["CN Tower", "Toronto", "Canada"],
            &["Sydney Opera House", "Sydney", "Australia"],
        ],
    },
    Table {
        kind: Kind::Element,
        article: false,
        columns: &[P::Symbol],
        rows: &[
            &["gold", "Au"],
            &["silver", "Ag"],
            &["iron", "Fe"],
            &["lead", "Pb"],
            &["tin", "Sn"],
            &["sodium", "Na"],
            &["potassium", "K"],
            &["oxygen", "O"],
            &["hydrogen", "H"],
            &["helium", "He"],
            &["carbon", "C"],
            &["nitrogen", "N"],
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_fills_its_columns() {
        for table in TABLES {
            for row in table.rows {
                assert_eq!(row.len(), table.columns.len() + 1, "{row:?}");
                assert!(!row[0].is_empty() && row.iter().all(|cell| cell.trim() == *cell));
            }
        }
    }

    #[test]
    fn a_name_is_in_one_table_once() {
        let names: Vec<_> = TABLES.iter().flat_map(Table::names).collect();
        for (idx, name) in names.iter().enumerate() {
            assert!(!names[..idx].contains(name), "{name} is there twice");
        }
    }

    #[test]
    fn names_are_found_with_and_without_article() {
        assert_eq!(kind_of("the Eiffel Tower"), Some(Kind::Landmark));
        assert_eq!(kind_of("the Netherlands"), Some(Kind::Country));
        assert_eq!(kind_of("Atlantis"), None);
        let books = table(Kind::Book).unwrap();
        assert_eq!(books.get("The Hobbit", Property::Creator), Some("J. R. R. Tolkien"));
    }
}
