package seed

// dimension is one way in which the items of a product differ.
type dimension struct {
	name   string
	values []string
}

// kind is a product before it has items.
type kind struct {
	name    string
	cents   int // usual price
	differs []dimension
}

// kinds are the products of the sample shop.
var kinds = []kind{
	{"Enamel Kettle", 4200, []dimension{{"colour", []string{"cream", "blue", "rust"}}, {"capacity", []string{"1.5 l", "2.5 l"}}, {"lid", []string{"hinged", "loose"}}}},
	{"Trail Lantern", 3650, []dimension{{"power", []string{"battery", "crank", "solar"}}, {"brightness", []string{"200 lm", "400 lm"}}}},
	{"Wool Blanket", 8900, []dimension{{"size", []string{"single", "double", "king"}}, {"pattern", []string{"plain", "check", "herringbone"}}}},
	{"Field Notebook", 1450, []dimension{{"ruling", []string{"lined", "dotted", "blank"}}, {"cover", []string{"card", "canvas"}}, {"size", []string{"A5", "A6"}}}},
	{"Cast Iron Pan", 5400, []dimension{{"diameter", []string{"20 cm", "26 cm", "30 cm"}}, {"handle", []string{"iron", "beech"}}}},
	{"Canvas Tote", 2250, []dimension{{"colour", []string{"natural", "navy", "olive"}}, {"straps", []string{"short", "long"}}}},
	{"Seed Feeder", 1990, []dimension{{"mount", []string{"hook", "pole", "window"}}, {"ports", []string{"2", "4"}}}},
	{"Picnic Hamper", 11500, []dimension{{"places", []string{"2", "4", "6"}}, {"lining", []string{"gingham", "stripe"}}}},
	{"Garden Trowel", 1775, []dimension{{"blade", []string{"narrow", "wide"}}, {"handle", []string{"ash", "cork", "steel"}}}},
	{"Rain Poncho", 6300, []dimension{{"size", []string{"S", "M", "L"}}, {"colour", []string{"yellow", "slate", "green"}}}},
	{"Ceramic Planter", 3300, []dimension{{"glaze", []string{"white", "moss", "ochre"}}, {"height", []string{"15 cm", "25 cm"}}}},
	{"Folding Stool", 4750, []dimension{{"frame", []string{"ash", "aluminium"}}, {"seat", []string{"canvas", "leather", "cane"}}}},
	{"Tea Sampler", 2600, []dimension{{"leaf", []string{"black", "green", "herbal"}}, {"tins", []string{"4", "8"}}}},
	{"Bicycle Bell", 1290, []dimension{{"tone", []string{"bright", "mellow"}}, {"finish", []string{"brass", "chrome", "black"}}}},
	{"Wall Barometer", 9700, []dimension{{"case", []string{"oak", "walnut"}}, {"dial", []string{"paper", "enamel", "brass"}}}},
}

var firstNames = []string{
	"Astrid", "Bram", "Ciara", "Dov", "Elspeth", "Farid", "Greta", "Hamish", "Imke", "Jonas",
	"Katya", "Lorcan", "Maren", "Nils", "Odile", "Petra", "Quentin", "Runa", "Stellan", "Tamsin",
}

var lastNames = []string{
	"Abernathy", "Brandvold", "Castellan", "Dunmore", "Eckhart", "Fairweather", "Grimsby", "Halvorsen", "Ingram", "Jardine",
	"Kestrel", "Lindqvist", "Moorland", "Northcott", "Oakes", "Penhallow", "Quill", "Ravenscroft", "Saltmarsh", "Thackeray",
}

var streets = []string{"Quay Road", "Mill Lane", "Orchard Street", "Foundry Row", "Signal Hill", "Ferry Walk", "Weaver Close", "Granary Street"}

// town is a place with the beginning of its postal codes.
type town struct{ city, state, zip string }

var towns = []town{
	{"Boise", "ID", "837"}, {"Duluth", "MN", "558"}, {"Savannah", "GA", "314"}, {"Burlington", "VT", "054"},
	{"Santa Fe", "NM", "875"}, {"Astoria", "OR", "971"}, {"Traverse City", "MI", "496"}, {"Galveston", "TX", "775"},
}
