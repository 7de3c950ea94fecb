from envlock.host.data import data


def test_data_stands_in_the_source_tree() -> None:
    assert data("images/host.toml").parts[-2:] == ("images", "host.toml")
