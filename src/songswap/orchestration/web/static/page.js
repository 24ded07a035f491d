// Airflow imports this module, and finds the page and the panel by their names.

const { React } = globalThis;

globalThis.SongSwap = () => React.createElement("h1", null, "SongSwap");
globalThis["SongSwap panel"] = () => React.createElement("p", null, "SongSwap");
