"""Pages and files on the game's port: the browser client, the pages of rooms, and what an author puts beside them.

`targets` reads paths, `media` knows types, `variants` decides what of a file is sent, `files` looks at folders, and
`site` puts it together. Of connections and rooms nothing is known here.
"""
