"""The page's static files: whole, of this package alone, and never markup made of text."""

import re

from songswap.orchestration.web.assets import FOLDER, TYPES, VERSION, address, version

MODULES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}


def test_every_file_has_a_type_and_a_name_that_is_served() -> None:
    """The route takes no other."""
    names = [path.name for path in FOLDER.iterdir()]
    assert "page.js" in names
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", name) for name in names)
    assert {path.suffix for path in FOLDER.iterdir()} == set(TYPES)


def test_address_names_the_content() -> None:
    """Browsers keep a file for ever, so other content needs another address."""
    assert version() == VERSION
    assert address("page.js") == f"songswap/static/{VERSION}/page.js"


def test_modules_import_what_is_there() -> None:
    """Each name is exported by the module that it is imported from."""
    for text in MODULES.values():
        for names, module in re.findall(r'^import \{([^}]*)\} from "\./(\w+\.js)";', text, re.M):
            for name in filter(None, (part.strip() for part in names.split(","))):
                exported = rf"^export (async )?(function|const|class) {name}\b"
                assert re.search(exported, MODULES[module], re.M), (module, name)
        assert len(re.findall(r"^import ", text, re.M)) == len(
            re.findall(r'^import \{[^}]*\} from "\./', text, re.M)
        )


def test_no_module_makes_markup_or_loads_from_elsewhere() -> None:
    """Text from outside stays text, and no browser asks a foreign host."""
    for name, text in MODULES.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|\beval\b|Function\(", text), name
        assert "://" not in text, name
    for path in FOLDER.glob("*.css"):
        assert not re.search(r"@import|url\(", path.read_text(encoding="utf-8")), path
